"""Times several arms in one process, interleaved A B B A.

Machines drift: they warm up, throttle, and share their cores. Timing A for a minute and then B
for a minute compares two machines. Here each block runs every arm once there and once back
(A B C C B A), so a drift that is linear over a block adds the same to each arm and cancels in
their ratio. The order rotates from block to block, so no arm is always next to itself.
"""

import gc
import platform
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import islice

import torch

from bench.errors import UserError
from bench.timing.clock import Clock, Mark
from bench.timing.samples import Block, Samples


class Stopwatch:
    """Given to an arm, which marks its stages with it:

    with watch("prefill"):
        ...
    with watch("decode", per=tokens):  # seconds a token
        ...

    Stages may nest; each may be marked once a call.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._marks: dict[str, tuple[Mark, Mark, int]] = {}

    @contextmanager
    def __call__(self, stage: str, *, per: int = 1) -> Iterator[None]:
        start = self._clock.mark()
        yield
        end = self._clock.mark()
        if stage in self._marks:
            raise ValueError(f"stage {stage!r} is marked twice in one call of an arm")
        self._marks[stage] = (start, end, per)

    def seconds(self) -> dict[str, float]:
        """Stage -> seconds. Only after the clock's `wait`."""
        return {
            stage: self._clock.seconds(start, end) / per
            for stage, (start, end, per) in self._marks.items()
        }


Arm = Callable[[Stopwatch], None]


def block_order(names: Sequence[str], block: int) -> list[str]:
    """The arms in the order of one block: rotated by the block's number, there and back."""
    turn = block % len(names)
    there = [*names[turn:], *names[:turn]]
    return [*there, *reversed(there)]


def interleaved(
    arms: Mapping[str, Arm], *, clock: Clock, threads: int, warmup: int = 2
) -> Generator[Block]:
    """Yields blocks without end. `warmup` blocks are run before the first and thrown away.

    Close the iterator (`contextlib.closing`): until then the garbage collector is off and torch
    runs on `threads` threads.

    Raises UserError if an arm marks no stage, or other stages than in its first call.
    """
    if not arms:
        raise UserError("no arms to time: name at least one model")
    stages: dict[str, set[str]] = {}
    with _quiet(threads):
        for number in range(-warmup, 2**63):
            calls: dict[str, list[dict[str, float]]] = {name: [] for name in arms}
            for name in block_order(list(arms), number):
                calls[name].append(_timed_call(arms[name], clock))
            for name, (there, back) in calls.items():
                expected = stages.setdefault(name, set(there))
                if not expected or set(there) != expected or set(back) != expected:
                    raise UserError(
                        f"arm {name!r} marked the stages {sorted(there)} and {sorted(back)}:"
                        f" each call must mark the same ones, at least one"
                    )
            gc.collect()  # between blocks, where nothing is timed
            if number >= 0:
                yield {name: (there, back) for name, (there, back) in calls.items()}


def measure(
    arms: Mapping[str, Arm],
    *,
    blocks: int,
    clock: Clock,
    threads: int,
    warmup: int = 2,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Samples:
    """Times a fixed number of blocks. `progress` is told blocks done and in all."""
    taken: list[Block] = []
    with closing(interleaved(arms, clock=clock, threads=threads, warmup=warmup)) as source:
        for block in islice(source, blocks):
            taken.append(block)
            progress(len(taken), blocks)
    return Samples(setup=setup(clock, threads), blocks=taken)


def setup(clock: Clock, threads: int) -> dict[str, str | int]:
    """What the timings hold for."""
    cuda = torch.cuda.is_available()
    return {
        "clock": clock.name,
        "threads": threads,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": torch.cuda.get_device_name() if cuda else platform.machine(),
    }


def _timed_call(arm: Arm, clock: Clock) -> dict[str, float]:
    watch = Stopwatch(clock)
    clock.wait()  # nothing of the call before is still running
    arm(watch)
    clock.wait()  # everything this call submitted has finished
    return watch.seconds()


@contextmanager
def _quiet(threads: int) -> Iterator[None]:
    """A fixed thread count, and no garbage collection but ours."""
    threads_before, collecting = torch.get_num_threads(), gc.isenabled()
    torch.set_num_threads(threads)
    gc.collect()
    gc.freeze()  # so that collecting between blocks looks only at what the arms left
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if collecting:
            gc.enable()
        torch.set_num_threads(threads_before)
