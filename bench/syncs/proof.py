"""Proofs that nothing waited, which need no list of ways to wait. Not yet confirmed on a GPU.

Back-pressure: with a long kernel in front of it, code that never waits returns long before that
kernel is done. A graph can only be captured from code that does not wait on its stream. The
profiler counts the calls of the CUDA runtime that wait. None of them names a line of ours; where
they disagree with `detect_cuda_syncs`, the detector is wrong, and that is an error.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch.autograd.profiler import record_function
from torch.profiler import ProfilerActivity, profile

from bench.syncs.cuda import detect_cuda_syncs, has_gpu
from bench.syncs.report import Report

_WINDOW = "bench.syncs.watched"
_WAITS = ("cudaStreamSynchronize", "cudaEventSynchronize", "cudaDeviceSynchronize", "Pageable")


class DetectorDefectError(RuntimeError):
    """The host was held up, and no layer of the detector said so."""


@dataclass(frozen=True, kw_only=True)
class BackPressure:
    """How long the host took, in ms, while the device was kept busy for `device_ms`.

    `held_up` says that the host came back only after the device was done.
    """

    host_ms: float
    device_ms: float
    held_up: bool

    def __str__(self) -> str:
        if self.held_up:
            return f"held up: the host needed {self.host_ms:.1f} ms behind {self.device_ms:.1f} ms"
        return f"the host ran {self.device_ms - self.host_ms:.1f} ms ahead of the device"


def back_pressure(run: Callable[[], object], *, factor: float = 10.0) -> BackPressure:
    """Run behind a kernel `factor` times as long as the host needs by itself.

    CUDA queues about a thousand launches; a run of more is held up without waiting, so give it a
    prefill or one decode step. `run` is called twice before.

    Raises:
        UserError: torch sees no CUDA device.
    """
    has_gpu(require_gpu=True)
    run()  # allocates and loads kernels, which waits
    torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    alone_ms = 1e3 * (time.perf_counter() - start)
    torch.cuda.synchronize()

    cycles = int(factor * max(alone_ms, 1.0) * _cycles_per_ms())
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    begin.record()
    _keep_busy(cycles)
    end.record()
    start = time.perf_counter()
    run()
    host_ms = 1e3 * (time.perf_counter() - start)
    held_up = bool(end.query())  # type: ignore[no-untyped-call]
    torch.cuda.synchronize()
    return BackPressure(host_ms=host_ms, device_ms=begin.elapsed_time(end), held_up=held_up)


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
        UserError: torch sees no CUDA device.
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
    has_gpu(require_gpu=True)
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
    has_gpu(require_gpu=True)
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
