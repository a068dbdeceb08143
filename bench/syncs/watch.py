"""The state of one watched thread: what lives where, who wants to hear, and when to keep quiet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field

import torch

from bench.syncs.places import Places
from bench.syncs.report import Report
from bench.syncs.sites import caller, callers
from bench.syncs.stages import current_stage


@dataclass
class Watch:
    """Shared by the function mode, the dispatch mode and the patched methods of one thread."""

    places: Places
    listeners: list[tuple[Report, bool]] = field(default_factory=list)
    quiet: bool = False

    def wait(self, operator: str, why: str) -> None:
        """Tell every report that the host waits here and now."""
        if self.quiet:
            return
        site = caller()
        for report, with_stack in self.listeners:
            report.record(
                operator=operator,
                why=why,
                site=site,
                stage=current_stage(),
                stack=callers() if with_stack else (),
            )

    @contextmanager
    def quietly(self) -> Iterator[None]:
        """One wait is one finding: whatever runs inside has been reported already, or is exempt."""
        before, self.quiet = self.quiet, True
        try:
            yield
        finally:
            self.quiet = before


_watch: ContextVar[Watch | None] = ContextVar("watch", default=None)


def current_watch() -> Watch | None:
    """This thread's watch; patched methods are visible to all threads, and the others pass."""
    return _watch.get()


@contextmanager
def unwatched() -> Iterator[None]:
    """Report nothing in the block: for what a GPU run does elsewhere, such as preparing inputs."""
    watch = _watch.get()
    with watch.quietly() if watch is not None else nullcontext():
        yield


@contextmanager
def listening(
    report: Report, *, device: torch.device, host: Iterable[torch.Tensor], with_stack: bool
) -> Iterator[tuple[Watch, bool]]:
    """Have this thread's watch tell `report`; also says whether the watch is new."""
    watch = _watch.get()
    is_new = watch is None
    if watch is None:
        watch = Watch(Places(device))
    elif watch.places.device != device:
        raise ValueError(f"already watching {watch.places.device} here, so not {device} as well")
    for tensor in host:
        watch.places.declare_host(tensor)
    listener = (report, with_stack)
    token = _watch.set(watch)
    watch.listeners.append(listener)
    try:
        yield watch, is_new
    finally:
        watch.listeners.pop()
        _watch.reset(token)
