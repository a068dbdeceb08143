"""Keeps the process on as many cores as it has threads, for the time of a measurement.

A thread that the scheduler moves between cores leaves its caches behind, now and then, in
whichever arm it happens. Pinned, all arms run on the same cores.
"""

import os
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_LOOK_S = 0.2  # twenty ticks of /proc/stat


def quietest_cores(count: int) -> tuple[int, ...] | None:
    """Ids of the `count` cores that idled most just now, of those the process may use.

    All of them if they are no more than `count`; None where processes can't be pinned (macOS).
    Takes 0.2 s.
    """
    if not hasattr(os, "sched_setaffinity"):
        return None
    allowed = os.sched_getaffinity(0)
    if len(allowed) <= count:
        return tuple(sorted(allowed))
    before = _idle_ticks(allowed)
    time.sleep(_LOOK_S)
    after = _idle_ticks(allowed)
    idled = {core: after.get(core, 0) - before.get(core, 0) for core in allowed}
    return tuple(sorted(sorted(allowed, key=lambda core: (-idled[core], core))[:count]))


@contextmanager
def pinned(cores: Collection[int] | None) -> Iterator[None]:
    """All threads of the process run on these cores only, and where they did before afterwards.

    Does nothing if cores is None.
    """
    if cores is None:
        yield
        return
    before = os.sched_getaffinity(0)
    masks = {thread: _affinity(thread) for thread in _threads()}
    try:
        pin(cores)
        yield
    finally:
        for thread in _threads():  # threads that began in between took over the pinned cores
            _pin(thread, masks.get(thread) or before)


def pin(cores: Collection[int]) -> None:
    """All threads of the process run on these cores from now on."""
    for thread in _threads():
        _pin(thread, cores)


def _threads() -> list[int]:
    return [int(name) for name in os.listdir("/proc/self/task")]  # noqa: PTH208


def _affinity(thread: int) -> set[int] | None:
    try:
        return os.sched_getaffinity(thread)
    except ProcessLookupError:
        return None


def _pin(thread: int, cores: Collection[int]) -> None:
    with suppress(ProcessLookupError):  # it has ended
        os.sched_setaffinity(thread, cores)


def _idle_ticks(cores: Collection[int]) -> dict[int, int]:
    """Core -> ticks idle or waiting for I/O since boot; nothing where /proc/stat is absent."""
    try:
        lines = Path("/proc/stat").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    rows = [line.split() for line in lines if line.startswith("cpu") and line[3] != " "]
    ticks = {int(row[0][3:]): int(row[4]) + int(row[5]) for row in rows}
    return {core: ticks[core] for core in cores if core in ticks}
