"""Clocks that know when the work they time has really finished.

A CUDA call returns when its kernel is queued, not when it is done. A host clock read around it
measures the queueing. So there are two clocks, and both are read between two waits:

    clock.wait()            # nothing of an earlier call is still running
    start = clock.mark()
    ...                     # what is timed
    end = clock.mark()
    clock.wait()            # both marks have been reached by the device
    clock.seconds(start, end)
"""

import os
import time
from typing import Any, NamedTuple, Protocol

import torch

from bench.base.errors import UserError

Mark = Any  # a clock's own: a HostMark on the CPU, an event on CUDA


class Clock(Protocol):
    name: str

    def wait(self) -> None:
        """Returns once all submitted work has finished."""

    def mark(self) -> Mark:
        """Marks this point in the stream of work, without waiting for it."""

    def seconds(self, start: Mark, end: Mark) -> float:
        """Time between two marks. Only after `wait`."""


class HostMark(NamedTuple):
    """Nanoseconds: of the monotonic clock, that this thread waited for a core, that the process
    ran."""

    wall: int
    waited: int
    ran: int


class HostClock:
    """Monotonic time, less what the calling thread waited for a core that another process had.

    Where cores are shared, waiting is most of the noise, and none of it is the arm's doing. What
    an arm waits for its own threads counts: no more is taken off than the time in which the
    process did not run. CPU operators have finished when they return: nothing to wait for.
    """

    name = "time.perf_counter_ns less waiting for a core"

    def wait(self) -> None:
        pass

    def mark(self) -> HostMark:
        return HostMark(time.perf_counter_ns(), _waited_ns(), time.process_time_ns())

    def seconds(self, start: HostMark, end: HostMark) -> float:
        wall, waited, ran = (b - a for a, b in zip(start, end, strict=True))
        return (wall - min(waited, max(0, wall - ran))) * 1e-9


def _waited_ns() -> int:
    """Since the thread began; 0 where the kernel does not count it."""
    try:
        file = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
    except OSError:
        return 0
    try:
        return int(os.read(file, 100).split()[1])
    finally:
        os.close(file)


class CudaClock:
    """Events on the current stream. The device stamps them when it gets there, so the time
    between two of them includes its idle time while the host still prepares the next launch."""

    name = "torch.cuda.Event"

    def wait(self) -> None:
        torch.cuda.synchronize()

    def mark(self) -> torch.cuda.Event:
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event

    def seconds(self, start: torch.cuda.Event, end: torch.cuda.Event) -> float:
        return float(start.elapsed_time(end)) * 1e-3  # CUDA answers in milliseconds


def clock_for(device: torch.device) -> Clock:
    """The clock of a device. Raises UserError for one that no clock here can time."""
    if device.type == "cpu":
        return HostClock()
    if device.type == "cuda":
        return CudaClock()
    raise UserError(f"latency on device {device} cannot be timed: use cpu or cuda")
