"""What else the machine did during a timed call, and which calls that spoils.

A call is slow because the code is slow, or because something else had the core. The kernel knows
which: it counts how long threads that could run had to wait for a core, and how long the
hypervisor gave the core to another machine. A thread that sleeps, for a lock or for I/O, is in
neither count: that is the arm's own doing, and so is waiting for a core that the arm's own threads
hold. So a spoilt call can be thrown out without ever throwing out a slowdown of the code.

A load that is there all the time slows all arms alike, and their ratio stands. What spoils a call
is more of it than the others had: over twice the median of the job, and over 10% anyway. Less than
that is one time slice in a call, and the blocks are summed up such that a few of those do no harm;
thrown out, they cost more blocks than they spoil.
"""

import os
import resource
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any

from pydantic import ConfigDict, Field, with_config

from bench.base.shapes import Count, Number, Seconds
from bench.timing.nvml import SLOWDOWNS, Nvml

MOST_OTHER_LOAD = 0.10  # of a call's time, on a quiet machine
_TASKS = Path("/proc/self/task")
_STAT = Path("/proc/stat")
_TICKS = os.sysconf("SC_CLK_TCK")  # of /proc/stat, a second


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True, kw_only=True)
class Conditions:
    """One call of an arm. None: this machine does not say.

    Attributes:
        wall_s: from start to end, the synchronising around the call included.
        cpu_s: that all threads of the process ran.
        cores: that the process may use.
        switches: times that a thread was taken off its core against its will.
        queue_s: that threads of the process waited for a core, summed over them (Linux).
        steal_s: that the hypervisor took the cores away, in steps of 10 ms (Linux guests).
        sm_mhz, celsius: of the GPU, right after the call.
        throttles: why its clock is held back; names from `bench.timing.nvml`.
    """

    wall_s: Seconds
    cpu_s: Annotated[Number, Field(ge=0)]
    cores: Count
    switches: Count
    queue_s: Number | None = None
    steal_s: Number | None = None
    sm_mhz: int | None = None
    celsius: int | None = None
    throttles: tuple[str, ...] | None = None

    @property
    def other_load(self) -> float | None:
        """Share of the call during which something else held a core that the arm wanted.

        Never more than what the arm's own threads left of the cores: its threads may wait for
        each other.
        """
        if self.queue_s is None:
            return None
        left = max(0.0, self.cores * self.wall_s - self.cpu_s)
        return (min(self.queue_s, left) + (self.steal_s or 0.0)) / self.wall_s

    @property
    def throttled(self) -> bool:
        return not SLOWDOWNS.isdisjoint(self.throttles or ())

    def disturbed(self, most: float = MOST_OTHER_LOAD) -> bool:
        """Whether the call says more about the machine than about the arm: its clock was held
        back, or other load was more than `most`."""
        return self.throttled or (self.other_load or 0.0) > most

    def to_json(self) -> dict[str, Any]:
        """What was recorded, without what the machine does not say."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Conditions":
        throttles = stored.get("throttles")
        return cls(**{**stored, "throttles": None if throttles is None else tuple(throttles)})


BlockConditions = Mapping[str, tuple[Conditions, Conditions]]
"""Arm -> the conditions of its two calls in one block."""


def usual_load(job: Iterable[BlockConditions]) -> float:
    """Median of the other load of all calls; 0 if the machine does not say."""
    loads = [
        call.other_load
        for block in job
        for calls in block.values()
        for call in calls
        if call.other_load is not None
    ]
    return median(loads) if loads else 0.0


def is_disturbed(block: BlockConditions, usual: float = 0.0) -> bool:
    """One disturbed call spoils its block for all arms: none is favoured by what is left.

    usual: `usual_load` of the job.
    """
    most = most_load(usual)
    return any(call.disturbed(most) for calls in block.values() for call in calls)


def most_load(usual: float) -> float:
    """Other load above which a call is disturbed, in a job whose `usual_load` is this."""
    return max(MOST_OTHER_LOAD, 2 * usual)


@dataclass(frozen=True)
class Counters:
    wall_ns: int
    cpu_ns: int
    switches: int
    queue_ns: Mapping[str, int] | None  # thread -> waited so far
    steal_ticks: int | None


class Observer:
    """Reads the process's and the machine's counters around each call of an arm.

    cores: ids of those that the process is pinned to; None if it is not. nvml: of the GPU that
    the arm runs on, if any.
    """

    def __init__(self, cores: Sequence[int] | None, nvml: Nvml | None = None) -> None:
        self._cores, self._nvml = cores, nvml
        self._count = len(cores) if cores else os.cpu_count() or 1

    def start(self) -> Counters:
        return self._read()

    def stop(self, start: Counters) -> Conditions:
        """What was counted since `start`."""
        end = self._read()
        gpu = self._nvml.read() if self._nvml else None
        queue = steal = None
        if start.queue_ns is not None and end.queue_ns is not None:
            before = start.queue_ns
            waited = sum(now - before.get(thread, 0) for thread, now in end.queue_ns.items())
            queue = _seconds(waited)
        if start.steal_ticks is not None and end.steal_ticks is not None:
            steal = (end.steal_ticks - start.steal_ticks) / _TICKS
        return Conditions(
            wall_s=_seconds(end.wall_ns - start.wall_ns),
            cpu_s=_seconds(end.cpu_ns - start.cpu_ns),
            cores=self._count,
            switches=end.switches - start.switches,
            queue_s=queue,
            steal_s=steal,
            sm_mhz=gpu.sm_mhz if gpu else None,
            celsius=gpu.celsius if gpu else None,
            throttles=gpu.throttles if gpu else None,
        )

    def _read(self) -> Counters:
        steal = _steal_ticks(self._cores)
        return Counters(
            queue_ns=_queue_ns(),
            steal_ticks=steal,
            switches=resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw,
            cpu_ns=time.process_time_ns(),
            wall_ns=time.perf_counter_ns(),
        )


def _seconds(nanoseconds: int) -> float:
    return round(nanoseconds * 1e-9, 6)  # what is beyond a microsecond is how long reading takes


def _queue_ns() -> dict[str, int] | None:
    """Thread -> nanoseconds it could run and was not let; the second number of its schedstat."""
    try:
        threads = os.listdir(_TASKS)  # noqa: PTH208
    except OSError:
        return None
    waited = {}
    for thread in threads:
        try:
            waited[thread] = int((_TASKS / thread / "schedstat").read_bytes().split()[1])
        except OSError:  # the thread has ended, or the kernel was built without these counts
            continue
    return waited or None


def _steal_ticks(cores: Sequence[int] | None) -> int | None:
    """Ticks that the hypervisor gave to others, on these cores; of the whole machine if None."""
    try:
        lines = _STAT.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    wanted = {"cpu"} if cores is None else {f"cpu{core}" for core in cores}
    rows = [line.split() for line in lines if line.startswith("cpu")]
    return sum(int(row[8]) for row in rows if row[0] in wanted)
