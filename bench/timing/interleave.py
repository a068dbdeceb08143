"""Times several arms in one process, interleaved A B B A.

Machines drift: they warm up, throttle, and share their cores. Timing A for a minute and then B
for a minute compares two machines. Here each block runs every arm once there and once back
(A B C C B A), so a drift that is linear over a block adds the same to each arm and cancels in
their ratio. The order rotates from block to block, so no arm is always next to itself.

The process is pinned to as many cores as it has threads, memory once taken stays with it, and what
else the machine did is recorded call by call.
"""

import gc
import platform
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from typing import NamedTuple

import torch

from bench.base.errors import UserError
from bench.timing.allocator import hold_memory
from bench.timing.clock import Clock, CudaClock, HostClock, Mark
from bench.timing.conditions import BlockConditions, Conditions, Observer
from bench.timing.nvml import Nvml
from bench.timing.pinning import pinned, quietest_cores
from bench.timing.samples import Block, Samples, Stages

RARELY = 2


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
        self.elsewhere: Call | None = None

    @contextmanager
    def __call__(self, stage: str, *, per: int = 1) -> Iterator[None]:
        start = self._clock.mark()
        yield
        end = self._clock.mark()
        if stage in self._marks:
            raise ValueError(f"stage {stage!r} is marked twice in one call of an arm")
        self._marks[stage] = (start, end, per)

    def adopt(self, call: "Call") -> None:
        """The arm ran in another process, which timed it."""
        self.elsewhere = call

    def seconds(self) -> dict[str, float]:
        """Stage -> seconds. Only after the clock's `wait`."""
        return {
            stage: self._clock.seconds(start, end) / per
            for stage, (start, end, per) in self._marks.items()
        }


Arm = Callable[[Stopwatch], None]


class Call(NamedTuple):
    """One timed call of an arm."""

    seconds: Stages
    conditions: Conditions | None


class Taken(NamedTuple):
    """One block of all arms. conditions: without those that were not recorded."""

    block: Block
    conditions: BlockConditions


def block_order(names: Sequence[str], block: int) -> list[str]:
    """The arms in the order of one block: rotated by the block's number, there and back."""
    turn = block % len(names)
    there = [*names[turn:], *names[:turn]]
    return [*there, *reversed(there)]


def interleaved_blocks(
    arms: Mapping[str, Arm],
    *,
    clock: Clock,
    threads: int,
    warmup: int = 2,
    rarely: Collection[str] = (),
) -> Generator[Taken]:
    """Yields blocks without end. `warmup` blocks are run before the first and thrown away.

    rarely: arms that are in every RARELY-th block only, the first among them. The others are
    timed the more often for it.

    Close the iterator (`contextlib.closing`): until then the garbage collector is off, torch
    runs on `threads` threads, and the process is pinned to as many cores, the quietest ones.

    Raises UserError if an arm marks no stage, or other stages than in its first call.
    """
    if not arms:
        raise UserError("no arms to time: name at least one model")
    stages: dict[str, set[str]] = {}
    # A clock that simulates time has nothing to do with this machine's cores.
    real = isinstance(clock, HostClock | CudaClock)
    if real:
        hold_memory()
    cores = quietest_cores(threads) if real else None
    observer = observer_for(clock, cores) if real else None
    with pinned(cores), _quiet(threads):
        for number in range(-warmup, 2**63):
            everyone = not rarely or number < 0 or number % RARELY == 0
            turn = number // RARELY if rarely else number
            names = [name for name in arms if everyone or name not in rarely]
            calls: dict[str, list[Call]] = {name: [] for name in names}
            for name in block_order(names, turn):
                calls[name].append(timed_call(arms[name], clock, observer))
            for name, (there, back) in calls.items():
                expected = stages.setdefault(name, set(there.seconds))
                marked = [set(there.seconds), set(back.seconds)]
                if not expected or marked != [expected, expected]:
                    raise UserError(
                        f"arm {name!r} marked the stages {sorted(marked[0])} and"
                        f" {sorted(marked[1])}: each call must mark the same ones, at least one"
                    )
            gc.collect()  # between blocks, where nothing is timed
            if number >= 0:
                yield Taken(
                    {name: (there.seconds, back.seconds) for name, (there, back) in calls.items()},
                    {
                        name: (there.conditions, back.conditions)
                        for name, (there, back) in calls.items()
                        if there.conditions and back.conditions
                    },
                )


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
    taken: list[Taken] = []
    source = interleaved_blocks(arms, clock=clock, threads=threads, warmup=warmup)
    with closing(source):
        for block in islice(source, blocks):
            taken.append(block)
            progress(len(taken), blocks)
    return samples_of(taken, setup(clock, threads))


def samples_of(taken: Sequence[Taken], setup: Mapping[str, str | int]) -> Samples:
    """Blocks in order of time, with their conditions."""
    return Samples(
        setup=setup,
        blocks=[one.block for one in taken],
        conditions=[one.conditions for one in taken],
    )


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


def observer_for(clock: Clock, cores: Sequence[int] | None) -> Observer:
    """What watches the process on these cores, and the GPU if the clock is a GPU's."""
    cuda = isinstance(clock, CudaClock)
    return Observer(cores, Nvml.of(torch.device("cuda")) if cuda else None)


def timed_call(arm: Arm, clock: Clock, observer: Observer | None) -> Call:
    """Runs an arm once, between two waits."""
    watch = Stopwatch(clock)
    clock.wait()  # nothing of the call before is still running
    start = observer.start() if observer else None
    arm(watch)
    clock.wait()  # everything this call submitted has finished
    if watch.elsewhere is not None:
        return watch.elsewhere
    conditions = observer.stop(start) if observer and start else None
    return Call(watch.seconds(), conditions)


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
