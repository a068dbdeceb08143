"""Proofs that nothing waited, which need no list of ways to wait.

Back-pressure: with a long kernel in front of it, code that never waits returns long before that
kernel is done, whatever the way to wait. A graph can only be captured from code that does not wait
on its stream. The profiler counts the calls of the CUDA runtime that wait. None of them names a
line of ours; where they disagree with `detect_cuda_syncs`, the detector is wrong, and that is an
error.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.autograd.profiler import record_function
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode

from bench.syncs.cuda import demand_gpu, detect_cuda_syncs
from bench.syncs.report import Report

_WINDOW = "bench.syncs.watched"
PORTION = 300  # operators; few of them launch more than one kernel, and CUDA queues a thousand
LEAST_MS = 50.0
_WAITS = ("cudaStreamSynchronize", "cudaEventSynchronize", "cudaDeviceSynchronize", "Pageable")


class DetectorDefectError(RuntimeError):
    """The host was held up, and no layer of the detector said so."""


@dataclass(frozen=True, kw_only=True)
class BackPressure:
    """How long the host took, in ms, while the device was kept busy for `device_ms`.

    Of the portion of the run in which the host came closest to the device's end, or fell furthest
    behind it. `held_up` says that there it came back only after the device was done; `behind` names
    the operator in which, or behind which, it took longest.
    """

    host_ms: float
    device_ms: float
    held_up: bool
    behind: str = ""

    def __str__(self) -> str:
        if self.held_up:
            needed = (
                f"held up: the host needed {self.host_ms:.1f} ms behind {self.device_ms:.1f} ms"
            )
            return f"{needed}, most of it in {self.behind}" if self.behind else needed
        return f"the host ran {self.device_ms - self.host_ms:.1f} ms ahead of the device"


def back_pressure(run: Callable[[], object], *, factor: float = 10.0) -> BackPressure:
    """Run behind kernels that are `factor` times as long as the host needs by itself.

    They last `LEAST_MS` at least, in which a host that lost its core for a moment is back.

    CUDA queues about a thousand launches, and a run of more would be held up without waiting. So
    behind every `PORTION` operators the device catches up, and is then kept busy again. `run` is
    called twice before.

    Raises:
        NoDevice: torch sees no CUDA device.
    """
    demand_gpu()
    run()  # allocates and loads kernels, which waits
    alone_ms = max(portion.host_ms for portion in _portions(run, cycles=0))
    cycles = int(max(factor * alone_ms, LEAST_MS) * _cycles_per_ms())
    return max(_portions(run, cycles), key=lambda portion: portion.host_ms - portion.device_ms)


def _portions(run: Callable[[], object], cycles: int) -> list[BackPressure]:
    portions = _Portions(cycles)
    with portions:
        portions.begin()
        run()
        portions.end()
    return portions.found


class _Portions(TorchDispatchMode):
    """Ends a portion of the work behind every `PORTION` operators, and begins another.

    cycles: that the device is kept busy for in front of each; 0 to leave it alone.
    """

    def __init__(self, cycles: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.cycles = cycles
        self.found: list[BackPressure] = []

    def begin(self) -> None:
        torch.cuda.synchronize()
        self._operators, self._longest, self._last, self._behind = 0, 0.0, "", ""
        self._front, self._done = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        self._front.record()
        if self.cycles:
            _keep_busy(self.cycles)
        self._done.record()
        self._start = self._since = time.perf_counter()

    def end(self) -> None:
        self._next("")
        host_ms = 1e3 * (self._since - self._start)
        done = bool(self._done.query())  # type: ignore[no-untyped-call]
        torch.cuda.synchronize()
        self.found.append(
            BackPressure(
                host_ms=host_ms,
                device_ms=self._front.elapsed_time(self._done),
                held_up=done and self.cycles > 0,
                behind=self._behind,
            )
        )

    def _next(self, operator: str) -> None:
        """The host has come as far as this operator."""
        now = time.perf_counter()
        if now - self._since > self._longest:
            self._longest, self._behind = now - self._since, self._last
        self._since, self._last = now, operator

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if self._operators == PORTION:
            self.end()
            self.begin()
        self._operators += 1
        self._next(str(func))
        return func(*args, **(kwargs or {}))


def _keep_busy(cycles: int) -> None:
    torch.cuda._sleep(cycles)  # type: ignore[no-untyped-call]


def _cycles_per_ms() -> float:
    cycles = 10_000_000
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    _keep_busy(cycles)
    begin.record()
    _keep_busy(cycles)
    end.record()
    torch.cuda.synchronize()
    return float(cycles / begin.elapsed_time(end))


def prove_no_wait(run: Callable[[], object]) -> tuple[Report, BackPressure]:
    """Detect, then prove: the report, and whether the host really came back early.

    Raises:
        DetectorDefectError: the host was held up although nothing was reported.
        NoDevice: torch sees no CUDA device.
    """
    run()
    with detect_cuda_syncs() as report:
        run()
    pressure = back_pressure(run)
    check_agreement(report, pressure)
    return report, pressure


def check_agreement(report: Report, pressure: BackPressure) -> None:
    """Raises DetectorDefectError if the host was held up although nothing was reported."""
    if pressure.held_up and not report.count:
        raise DetectorDefectError(
            f"{pressure}, but no wait was reported: the detector is blind to something in this run"
        )


def capture_error(run: Callable[[], object]) -> str | None:
    """Capture `run` in a CUDA graph: None if that works, or the first line of what stopped it."""
    demand_gpu()
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph):
            run()
    except RuntimeError as error:
        return str(error).partition("\n")[0]
    return None


def runtime_waits(run: Callable[[], object]) -> Mapping[str, int]:
    """How often the CUDA runtime waited, by the names of its calls; without Python lines."""
    demand_gpu()
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
        torch.cuda.synchronize()
        with record_function(_WINDOW):  # the profiler itself synchronises at its edges
            run()
        torch.cuda.synchronize()
    events = list(profiler.events() or ())
    window = next(event for event in events if event.name == _WINDOW).time_range
    return Counter(
        event.name
        for event in events
        if any(name in event.name for name in _WAITS)
        and window.start <= event.time_range.start <= window.end
    )
