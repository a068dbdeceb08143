"""The processes that torchrun started for one run: each answers a shard, rank 0 does the rest."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from threading import Timer
from typing import NoReturn, TypeVar

import torch
import torch.distributed as dist

from bench.base.errors import UserError

Value = TypeVar("Value")
MEETING = timedelta(minutes=5)  # until all have started, each with torch from a slow disk
PATIENCE = timedelta(days=7)  # torchrun ends the others when one dies; nothing else is in a hurry
SILENCE_S = 10.0  # before a rank says what it waits for

MEND = "start it with torchrun, or unset RANK, WORLD_SIZE and LOCAL_RANK"


@dataclass(frozen=True)
class Ranks:
    """This process among `size`; `restarted` if torchrun started them all once more."""

    rank: int = 0
    size: int = 1
    restarted: bool = False
    group: dist.ProcessGroup | None = None

    @property
    def speaks(self) -> bool:
        """Whether it says what holds for all: rank 0, and the first rank of each other node."""
        return self.rank == 0 or os.environ.get("LOCAL_RANK", "0") == "0"

    def answers(self, position: int) -> bool:
        """Whether the sample at this position of the data is this process's: shards by stride."""
        return position % self.size == self.rank

    def lead(self, action: Callable[[], None]) -> None:
        """Once all ranks are here, rank 0 does `action`; all go on after that, or none.

        Raises:
            UserError: on rank 0 what `action` raised, and on the first rank of each other node;
                or that another rank has died.
            SystemExit: with 2 on the others.
        """
        if self.size == 1:
            action()
            return
        with self._together():
            dist.barrier(self.group)
        reason: str | None = None
        if self.rank == 0:
            try:
                action()
            except BaseException as error:
                with contextlib.suppress(UserError):  # if another rank stopped, too, this is first
                    self.from_first(f"rank 0: {str(error) or type(error).__name__}")
                raise
        reason = self.from_first(reason)
        if reason is not None:
            self._stop(reason)

    def from_first(self, value: Value) -> Value:
        """Rank 0's value, on every rank. Raises `UserError` if another rank has died."""
        if self.size == 1:
            return value
        told = [value]
        with self._together():
            dist.broadcast_object_list(told, group=self.group)
        return told[0]

    def agree(self, problem: str | None) -> None:
        """Once all ranks are here, all go on if none of them has a problem, or none does.

        Raises:
            UserError: this rank's own problem; where that is to be said, the first of the others'.
            SystemExit: with 2 on the others.
        """
        problems = [problem]
        if self.size > 1:
            problems *= self.size
            with self._together():
                dist.all_gather_object(problems, problem, self.group)
        reason = next((text for text in (problem, *problems) if text is not None), None)
        if reason is not None:
            self._stop(reason)

    def _stop(self, reason: str) -> NoReturn:
        if self.speaks:
            raise UserError(reason)
        raise SystemExit(2)

    @contextlib.contextmanager
    def _together(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:  # gloo's, for a lost connection
            raise UserError(
                f"rank {self.rank}: another rank stopped; what was written stays, "
                "continue with --reuse"
            ) from error


ALONE = Ranks()


@contextlib.contextmanager
def joined() -> Iterator[Ranks]:
    """This process among those of torchrun's RANK and WORLD_SIZE; alone without them.

    Raises:
        UserError: as `world_size`; this node has fewer GPUs than ranks; or not all ranks have come
            within MEETING.
    """
    size = world_size()
    if size == 1:
        yield ALONE
        return
    if torch.cuda.is_available():
        _take_gpu(int(os.environ.get("LOCAL_RANK", "0")))
    _meet(size)
    try:
        restarts = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))
        group = dist.new_group(timeout=PATIENCE)
        yield Ranks(dist.get_rank(), size, restarts > 0, group)
    finally:
        dist.destroy_process_group()


def _take_gpu(local_rank: int) -> None:
    if local_rank >= torch.cuda.device_count():
        raise UserError(
            f"LOCAL_RANK={local_rank} has no GPU, of {torch.cuda.device_count()} here: start no"
            " more ranks on a node than it has (--nproc-per-node)"
        )
    torch.cuda.set_device(local_rank)


def _meet(size: int) -> None:
    """All ranks connect to each other; says what it waits for if that takes its time."""
    where = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
    rank, minutes = os.environ["RANK"], MEETING.total_seconds() / 60
    note = f"note: rank {rank} waits up to {minutes:g} minutes for all {size} ranks at {where}"
    waiting = Timer(SILENCE_S, print, (note,), {"file": sys.stderr, "flush": True})
    waiting.daemon = True
    waiting.start()
    try:
        dist.init_process_group("gloo", timeout=MEETING)
    except RuntimeError as error:  # of the store, the network or gloo
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"rank {rank} has not met all {size} ranks at {where} within {minutes:g} minutes"
            f" ({reason[:200]}): start every one of them, with the same MASTER_ADDR and MASTER_PORT"
        ) from error
    finally:
        waiting.cancel()


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
        _number("MASTER_PORT", 1, 65535)
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


def _number(name: str, least: int, most: int | None = None) -> int:
    """Of an environment variable that torchrun sets."""
    value = os.environ.get(name)
    if value is None:
        raise UserError(f"{name} is not set, and other variables of torchrun are: {MEND}")
    if not (value.isascii() and value.isdigit() and int(value) >= least):
        raise UserError(f"{name}={value!r} is no number from {least} on: {MEND}")
    if most is not None and int(value) > most:
        raise UserError(f"{name}={value!r} is more than {most}: {MEND}")
    return int(value)
