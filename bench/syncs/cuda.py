"""The GPU tier: CUDA's own word on when the host waited.

Two layers that need no rules of ours. Sync debug mode warns at every stream wait that goes through
PyTorch (https://docs.pytorch.org/docs/stable/generated/torch.cuda.set_sync_debug_mode.html);
the trace callbacks that PyTorch's CUDA sanitizer uses also see device and event waits. Both miss
large copies from pageable memory, an allocator that gives memory back, and libraries that call CUDA
themselves: `bench.syncs.proof` notices those.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch

from bench.syncs.report import Report
from bench.syncs.sites import Site, caller, callers
from bench.syncs.stages import current_stage

SKIPPED = "GPU tier: not run, no CUDA device"
_WARNING = "called a synchronizing CUDA operation"
_PROTOTYPE = "Synchronization debug mode is a prototype feature"
_TRACE, _WARNINGS = 1, -1
_WHY = "CUDA reports that the host waits here"


class NoDevice(RuntimeError):
    """torch sees no CUDA device, which the GPU tier needs."""


def has_gpu() -> bool:
    """Whether the GPU tier can run; callers print `SKIPPED` where it cannot."""
    return torch.cuda.is_available()


def demand_gpu() -> None:
    """Raises NoDevice where the GPU tier cannot run."""
    if not has_gpu():
        raise NoDevice("torch sees no CUDA device: run this where it does, with a CUDA build of it")


@dataclass
class _Listener:
    """Counts a wait once that both layers tell of.

    unpaired: line -> by how many the trace is ahead of the warnings there, or behind them. PyTorch
    keeps a warning until its operator returns to Python, and the trace speaks at once; which of
    them comes first is not relied upon.
    """

    report: Report
    with_stack: bool
    unpaired: Counter[Site] = field(default_factory=Counter)

    def record(self, operator: str, site: Site) -> None:
        self.report.record(
            operator=operator,
            why=_WHY,
            site=site,
            stage=current_stage(),
            stack=callers() if self.with_stack else (),
        )

    def on_stream_wait(self, layer: int) -> None:
        """layer: `_TRACE` or `_WARNINGS`, which tells of it."""
        site = caller()
        told_already = self.unpaired[site] * layer < 0
        self.unpaired[site] += layer
        if not told_already:
            self.record("stream wait", site)


_listener: ContextVar[_Listener | None] = ContextVar("listener", default=None)


@contextmanager
def detect_cuda_syncs(*, stack: bool = False) -> Iterator[Report]:
    """Report every wait of this thread that CUDA tells PyTorch about.

    The debug mode is global to the process, so it is set to warn, never to raise, and other
    threads' warnings are passed on. Mode, filters and hook come back however the block ends.

    Raises:
        NoDevice: torch sees no CUDA device.
    """
    demand_gpu()
    _activate_trace()
    report = Report()
    mode = torch.cuda.get_sync_debug_mode()
    token = _listener.set(_Listener(report, stack))
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("always", message=_WARNING)
            warnings.filterwarnings("ignore", message=_PROTOTYPE)
            _hook_warnings()
            torch.cuda.set_sync_debug_mode("warn")
            try:
                yield report
            finally:
                torch.cuda.set_sync_debug_mode(mode)
    finally:
        _listener.reset(token)


def _hook_warnings() -> None:
    """Undone by the `catch_warnings` around it."""
    show = warnings.showwarning

    def showwarning(message: Warning | str, *args: Any, **kwargs: Any) -> None:
        listener = _listener.get()
        if listener is not None and _WARNING in str(message):
            listener.on_stream_wait(_WARNINGS)
        else:
            show(message, *args, **kwargs)

    warnings.showwarning = showwarning


@cache
def _activate_trace() -> None:
    """PyTorch cannot take callbacks back, so they are set once and do nothing outside a block."""
    from torch.cuda import _gpu_trace

    _gpu_trace.register_callback_for_stream_synchronization(lambda _stream: _on_stream_wait())
    _gpu_trace.register_callback_for_event_synchronization(lambda _event: _on_wait("event wait"))
    _gpu_trace.register_callback_for_device_synchronization(lambda: _on_wait("device wait"))
    torch._C._activate_gpu_trace()


def _on_stream_wait() -> None:
    listener = _listener.get()
    if listener is not None:
        listener.on_stream_wait(_TRACE)


def _on_wait(operator: str) -> None:
    listener = _listener.get()
    if listener is not None:
        listener.record(operator, caller())
