"""The CPU's clock: what another process took is off it, what the arm did is on it."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.timing.clock import HostClock, HostMark
from bench.timing.pinning import pinned

SPIN = "while True: pass"


@pytest.mark.parametrize(
    ("waited", "ran", "expected"),
    [
        (0, 100, 100),
        (30, 70, 70),  # another process had the core
        (30, 95, 95),  # the arm's own threads had it for most of that
        (30, 180, 100),  # several cores
        (0, 10, 100),  # asleep: for a lock, a file, a sleep in the arm
    ],
)
def test_only_waiting_for_other_processes_is_taken_off(
    waited: int, ran: int, expected: int
) -> None:
    start = HostMark(wall=1000, waited=50, ran=500)
    end = HostMark(wall=1100, waited=50 + waited, ran=500 + ran)
    assert HostClock().seconds(start, end) == pytest.approx(expected * 1e-9)


def test_a_sleep_in_the_arm_counts() -> None:
    clock = HostClock()
    start = clock.mark()
    time.sleep(0.05)
    assert clock.seconds(start, clock.mark()) >= 0.05


@pytest.mark.skipif(
    not Path("/proc/thread-self/schedstat").exists(), reason="this kernel counts no waiting"
)
def test_a_busy_neighbour_on_the_same_core_is_not_timed() -> None:
    core = min(os.sched_getaffinity(0))
    with pinned([core]):
        neighbour = subprocess.Popen([sys.executable, "-c", SPIN])
        try:
            time.sleep(0.3)
            clock, began, ran = HostClock(), time.perf_counter(), time.process_time()
            start = clock.mark()
            while time.perf_counter() < began + 0.5:
                pass
            timed = clock.seconds(start, clock.mark())
            ran = time.process_time() - ran
        finally:
            neighbour.kill()
            neighbour.wait()
    assert timed < 0.45
    assert timed == pytest.approx(ran, abs=0.02)
