"""The processes that torchrun started for one run: each answers a shard, rank 0 does the rest."""

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist

from bench.errors import UserError

PATIENCE = timedelta(days=7)  # torchrun ends the others when one dies; nothing else is in a hurry

MEND = "start it with torchrun, or unset RANK, WORLD_SIZE and LOCAL_RANK"


@dataclass(frozen=True)
class Ranks:
    """This process among `size`; `restarted` if torchrun started them all once more."""

    rank: int = 0
    size: int = 1
    restarted: bool = False

    def answers(self, position: int) -> bool:
        """Whether the sample at this position of the data is this process's: shards by stride."""
        return position % self.size == self.rank

    def lead(self, action: Callable[[], None]) -> None:
        """Once all ranks are here, rank 0 does `action`; all go on after that, or none.

        Raises:
            UserError: on rank 0 what `action` raised, or that another rank has died.
            SystemExit: with 2 on the others, since rank 0 says why.
        """
        if self.size == 1:
            action()
            return
        failed = [False]
        try:
            dist.barrier()
            if self.rank == 0:
                try:
                    action()
                except BaseException:
                    dist.broadcast_object_list([True])
                    raise
            dist.broadcast_object_list(failed)
        except RuntimeError as error:  # gloo's, for a lost connection
            raise UserError(
                f"rank {self.rank}: another rank stopped; what was written stays, "
                "continue with --reuse"
            ) from error
        if failed[0]:
            raise SystemExit(2)


ALONE = Ranks()


@contextlib.contextmanager
def joined() -> Iterator[Ranks]:
    """This process among those of torchrun's RANK and WORLD_SIZE; alone without them."""
    size = world_size()
    if size == 1:
        yield ALONE
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("gloo", timeout=PATIENCE)
    try:
        restarts = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))
        yield Ranks(dist.get_rank(), size, restarts > 0)
    finally:
        dist.destroy_process_group()


def world_size() -> int:
    """How many processes torchrun started; 1 without it.

    Raises:
        UserError: RANK and WORLD_SIZE are set in part, or are no rank of so many processes.
    """
    if "RANK" not in os.environ and "WORLD_SIZE" not in os.environ:
        return 1
    rank, size = _number("RANK", 0), _number("WORLD_SIZE", 1)
    if rank >= size:
        raise UserError(f"RANK={rank} is no rank of WORLD_SIZE={size}: {MEND}")
    if size > 1:
        _number("MASTER_PORT", 1)
        if not os.environ.get("MASTER_ADDR"):
            raise UserError(f"WORLD_SIZE={size} is set and MASTER_ADDR is not: {MEND}")
    for name in ("LOCAL_RANK", "TORCHELASTIC_RESTART_COUNT"):
        if name in os.environ:
            _number(name, 0)
    return size


def demand_alone() -> None:
    """Raises UserError under torchrun, and for variables of it that make no sense."""
    if world_size() > 1:
        raise UserError("under torchrun only `python -m bench run` works; start this one without")


def _number(name: str, least: int) -> int:
    """Of an environment variable that torchrun sets."""
    value = os.environ.get(name)
    if value is None:
        raise UserError(f"{name} is not set, and other variables of torchrun are: {MEND}")
    if not (value.isascii() and value.isdigit() and int(value) >= least):
        raise UserError(f"{name}={value!r} is no number from {least} on: {MEND}")
    return int(value)
