"""What counts as other load, and what is the arm's own doing."""

import ctypes
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch

import bench.timing.pinning as pinning
from bench.timing.clock import HostClock
from bench.timing.conditions import Conditions, Observer
from bench.timing.interleave import Stopwatch, measure
from bench.timing.nvml import GpuState, Nvml
from bench.timing.pinning import pinned, quietest_cores

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
ALONE = Conditions(wall_s=1.0, cpu_s=1.0, cores=1, switches=0, queue_s=0.0, steal_s=0.0)


@pytest.mark.parametrize(
    ("conditions", "disturbed"),
    [
        (ALONE, False),
        (replace(ALONE, cpu_s=0.92, queue_s=0.08), False),
        (replace(ALONE, cpu_s=0.85, queue_s=0.15), True),
        (replace(ALONE, steal_s=0.15), True),
        (replace(ALONE, cpu_s=0.92, queue_s=0.08, steal_s=0.03), True),
        # Asleep half of the time: slow, and its own doing.
        (replace(ALONE, cpu_s=0.5), False),
        # Two threads of its own on one core wait for each other; nothing else ran.
        (replace(ALONE, cpu_s=1.0, queue_s=0.9), False),
        # The same on two cores, one of them half taken by something else.
        (replace(ALONE, cores=2, cpu_s=1.5, queue_s=0.5), True),
        # Switched off its core often, by nothing that took time.
        (replace(ALONE, switches=500), False),
        (replace(ALONE, queue_s=None, steal_s=None), False),
        (replace(ALONE, throttles=()), False),
        (replace(ALONE, throttles=("power cap",)), False),
        (replace(ALONE, throttles=("power cap", "thermal, hardware")), True),
    ],
)
def test_only_what_others_took_disturbs_a_call(conditions: Conditions, disturbed: bool) -> None:
    assert conditions.disturbed() is disturbed


def test_where_the_machine_does_not_say_the_load_is_unknown_and_not_zero() -> None:
    unknown = replace(ALONE, queue_s=None, steal_s=None)
    assert unknown.other_load is None
    assert "queue_s" not in unknown.to_json()
    assert Conditions.from_json(unknown.to_json()) == unknown


def spin(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


@contextmanager
def something_else_on(core: int) -> Iterator[None]:
    script = f"import os; os.sched_setaffinity(0, [{core}]); print(flush=True)\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        try:
            yield
        finally:
            process.kill()


@LINUX
@pytest.mark.clock
def test_a_process_on_the_same_core_is_seen() -> None:
    cores = quietest_cores(1)
    assert cores
    observer = Observer(cores)
    with pinned(cores), something_else_on(cores[0]):
        start = observer.start()
        spin(0.2)
        conditions = observer.stop(start)
    assert conditions.other_load is not None
    assert conditions.other_load > 0.15  # two that want one core share it
    assert conditions.switches > 0
    assert conditions.disturbed()


@LINUX
@pytest.mark.clock
def test_an_arm_that_sleeps_is_slow_and_not_disturbed() -> None:
    cores = quietest_cores(1)
    observer = Observer(cores)
    with pinned(cores):
        start = observer.start()
        for _ in range(4):
            time.sleep(0.05)
        conditions = observer.stop(start)
    assert conditions.wall_s > 0.2
    assert conditions.cpu_s < 0.1
    assert conditions.queue_s is not None
    assert conditions.queue_s < 0.1  # of which the sleep is no part


@LINUX
@pytest.mark.clock
def test_threads_of_the_arm_that_wait_for_each_other_are_its_own_doing() -> None:
    cores = quietest_cores(1)
    assert cores
    observer = Observer(cores)
    matrix = torch.rand(1024, 1024)  # some 10 ms a product, outside the interpreter's lock
    over = threading.Event()

    def multiply() -> None:
        while not over.is_set():
            matrix @ matrix

    with pinned(cores):
        threads = [threading.Thread(target=multiply) for _ in range(2)]
        start = observer.start()
        for thread in threads:
            thread.start()
        # Counted while they live: a thread takes its counts with it when it ends.
        time.sleep(0.1)
        conditions = observer.stop(start)
        over.set()
        for thread in threads:
            thread.join()
    assert conditions.queue_s is not None
    assert conditions.other_load is not None
    assert conditions.queue_s > 0.3 * conditions.wall_s
    left = max(0.0, conditions.wall_s - conditions.cpu_s) + (conditions.steal_s or 0)
    assert conditions.other_load == pytest.approx(left / conditions.wall_s)


def test_a_machine_without_proc_is_measured_all_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr("bench.timing.conditions._TASKS", tmp_path / "task")
    monkeypatch.setattr("bench.timing.conditions._STAT", tmp_path / "stat")
    monkeypatch.delattr(os, "sched_setaffinity", raising=False)

    def arm(watch: Stopwatch) -> None:
        with watch("answer"):
            spin(0.001)

    samples = measure({"a": arm}, blocks=3, clock=HostClock(), threads=1)
    (there, _) = samples.conditions[0]["a"]
    assert (there.queue_s, there.steal_s, there.other_load) == (None, None, None)
    assert there.wall_s >= 0.001
    assert samples.thrown_out == 0


@LINUX
def test_a_measurement_is_pinned_and_leaves_the_process_as_it_was() -> None:
    before = os.sched_getaffinity(0)
    seen: list[set[int]] = []
    release = threading.Event()
    late: list[threading.Thread] = []

    def arm(watch: Stopwatch) -> None:
        with watch("answer"):
            seen.append(os.sched_getaffinity(0))
            if not late:  # a thread that begins on the pinned core and outlives the measurement
                late.append(threading.Thread(target=release.wait))
                late[0].start()

    measure({"a": arm}, blocks=1, clock=HostClock(), threads=1, warmup=0)
    assert all(len(cores) == 1 and cores <= before for cores in seen)
    assert os.sched_getaffinity(0) == before
    assert late[0].native_id is not None
    assert os.sched_getaffinity(late[0].native_id) == before
    release.set()
    late[0].join()


def test_the_cores_that_idle_most_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([{0: 5, 1: 5, 2: 5, 3: 5}, {0: 5, 1: 25, 2: 10, 3: 25}])
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(pinning, "_idle_ticks", lambda cores: next(looks))
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    assert quietest_cores(2) == (1, 3)
    assert quietest_cores(4) == (0, 1, 2, 3)


class Driver:
    """Speaks as libnvidia-ml does."""

    def __init__(self, mask: int, missing: bool = False) -> None:
        self.mask, self.missing = mask, missing
        self.asked = b""

    def nvmlInit_v2(self) -> int:
        return 0

    def nvmlDeviceGetHandleByUUID(self, uuid: bytes, handle: Any) -> int:
        self.asked = uuid
        return 6 if self.missing else 0  # NVML_ERROR_NOT_FOUND

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: Any, mask: Any) -> int:
        mask._obj.value = self.mask
        return 0

    def nvmlDeviceGetClockInfo(self, handle: Any, kind: int, number: Any) -> int:
        number._obj.value = {1: 1980}[kind]
        return 0

    def nvmlDeviceGetTemperature(self, handle: Any, kind: int, number: Any) -> int:
        number._obj.value = {0: 63}[kind]
        return 0


@pytest.mark.parametrize(
    ("mask", "reasons"),
    [
        (0x0, ()),
        (0x1 | 0x2, ()),  # idle, and clocks that someone set: no slowdown
        (0x4, ("power cap",)),
        (0x8 | 0x40, ("hardware slowdown", "thermal, hardware")),
    ],
)
def test_the_driver_says_why_a_gpu_is_slow(mask: int, reasons: tuple[str, ...]) -> None:
    driver = Driver(mask)
    state = Nvml("GPU-1", driver).read()
    assert driver.asked == b"GPU-1"
    assert state == GpuState(sm_mhz=1980, celsius=63, throttles=reasons)


def test_a_gpu_that_the_driver_does_not_know_is_an_error_and_no_reading() -> None:
    with pytest.raises(OSError, match="nvmlDeviceGetHandleByUUID answered 6"):
        Nvml("GPU-1", Driver(0, missing=True))
    assert Nvml.of(torch.device("cpu")) is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_real_gpu_has_a_clock_and_a_temperature() -> None:
    nvml = Nvml.of(torch.device("cuda"))
    assert nvml is not None
    state = nvml.read()
    assert 100 < state.sm_mhz < 5000
    assert 0 < state.celsius < 120


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="malloc is not glibc's")
def test_memory_that_is_held_is_not_mapped_anew_in_each_call() -> None:
    script = (
        "import resource, sys\n"
        "from bench.timing.allocator import hold_memory\n"
        "assert sys.argv[1] == 'as it is' or hold_memory()\n"
        "def call():\n"
        "    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "    kept = [b'x' * (1 << 24) for _ in range(4)]\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before\n"
        "call(); print(max(call() for _ in range(4)))\n"
    )
    faults = {
        how: int(subprocess.check_output([sys.executable, "-c", script, how]))
        for how in ("as it is", "held")
    }
    assert faults["held"] < 0.01 * faults["as it is"]
