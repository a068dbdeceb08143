"""Back-pressure, played through on a device and a host that share one played clock."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch

from bench.syncs import proof
from bench.syncs.proof import PORTION, back_pressure


class Gpu:
    """Stands in for CUDA. queue: launches that it takes while busy; one more holds the host up.

    now: seconds; they pass while the host reads the clock, launches, or waits.
    """

    def __init__(self, queue: int = 1000) -> None:
        self.queue, self.queued, self.busy_until, self.now = queue, 0, 0.0, 0.0

    def perf_counter(self) -> float:
        self.now += 1e-7
        return self.now

    def keep_busy(self, milliseconds: int) -> None:
        self.busy_until = self.now + 1e-3 * milliseconds

    def synchronize(self) -> None:
        self.now = max(self.now, self.busy_until)
        self.queued = 0

    def launch(self) -> None:
        self.now += 1e-5
        self.queued = self.queued + 1 if self.now < self.busy_until else 0
        if self.queued > self.queue:
            self.synchronize()


class Event:
    gpu: Gpu

    def __init__(self, enable_timing: bool = False) -> None:
        self.at = 0.0

    def record(self) -> None:
        self.at = max(self.gpu.now, self.gpu.busy_until)

    def query(self) -> bool:
        return self.gpu.now >= self.at

    def elapsed_time(self, end: "Event") -> float:
        return 1e3 * (end.at - self.at)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Gpu:
    played = Gpu()
    monkeypatch.setattr(Event, "gpu", played, raising=False)
    for name, stand_in in (
        ("is_available", lambda: True),
        ("synchronize", played.synchronize),
        ("Event", Event),
    ):
        monkeypatch.setattr(torch.cuda, name, stand_in)
    monkeypatch.setattr(proof, "time", SimpleNamespace(perf_counter=played.perf_counter))
    monkeypatch.setattr(proof, "_keep_busy", played.keep_busy)
    monkeypatch.setattr(proof, "_cycles_per_ms", lambda: 1.0)
    return played


def launches(gpu: Gpu, count: int, wait_behind: int | None = None) -> Callable[[], None]:
    """A run of `count` operators, which waits behind one of them."""

    def run() -> None:
        x = torch.ones(())
        for number in range(count):
            x.neg() if number == wait_behind else x.abs()
            gpu.launch()
            if number == wait_behind:
                gpu.synchronize()

    return run


@pytest.mark.parametrize("count", [0, 1, PORTION - 1, PORTION, PORTION + 1, 4 * PORTION + 5])
def test_a_run_of_any_length_that_never_waits_comes_back_early(gpu: Gpu, count: int) -> None:
    pressure = back_pressure(launches(gpu, count))
    assert not pressure.held_up
    assert 0 <= pressure.host_ms < pressure.device_ms
    assert str(pressure).startswith("the host ran ")


def test_without_portions_a_full_queue_would_look_like_a_wait(
    gpu: Gpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = launches(gpu, 4 * PORTION)
    assert gpu.queue < 4 * PORTION
    assert not back_pressure(run).held_up
    monkeypatch.setattr(proof, "PORTION", 10**9)
    assert back_pressure(run).held_up


@pytest.mark.parametrize("number", [0, PORTION - 1, PORTION, 3 * PORTION // 2, 2 * PORTION - 1])
def test_one_wait_anywhere_holds_the_host_up_and_is_placed(gpu: Gpu, number: int) -> None:
    pressure = back_pressure(launches(gpu, 2 * PORTION, wait_behind=number))
    assert pressure.held_up and pressure.host_ms >= pressure.device_ms
    assert str(pressure).startswith("held up: the host needed ")
    assert str(pressure).endswith("most of it in aten.neg.default")
