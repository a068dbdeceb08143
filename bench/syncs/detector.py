"""`with detect_syncs() as report:` and `with forbid_syncs():`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

import torch

from bench.syncs.entry_points import patched
from bench.syncs.modes import OperatorMode, SpellingMode
from bench.syncs.report import Report
from bench.syncs.watch import listening


class SyncError(AssertionError):
    """The host waited inside a `forbid_syncs` block. `report` says where."""

    def __init__(self, report: Report) -> None:
        super().__init__(report.text())
        self.report = report


@contextmanager
def detect_syncs(
    *,
    device: str | torch.device = "cpu",
    host: Iterable[torch.Tensor] = (),
    stack: bool = False,
) -> Iterator[Report]:
    """Report every place in the block where the host would wait for the device.

    device: whose waits to look for. With "cpu", for machines without a GPU, the CPU plays the
        device: all tensors count as device tensors, and copies to the host are really made.
    host: tensors that a GPU run would have on the host all the same.
    stack: keep the users' frames of each finding.

    Blocks nest; the outer report also holds what the inner one found. Only the calling thread is
    watched. Modes and patches are gone when the block ends, however it ends.

    Raises:
        ValueError: the block is inside another that watches another device.
    """
    report = Report()
    with ExitStack() as undo:
        watch, is_new = undo.enter_context(
            listening(report, device=torch.device(device), host=host, with_stack=stack)
        )
        if is_new:
            undo.enter_context(patched())
            undo.enter_context(OperatorMode(watch))
            undo.enter_context(SpellingMode(watch))
        yield report


@contextmanager
def forbid_syncs(
    *,
    device: str | torch.device = "cpu",
    host: Iterable[torch.Tensor] = (),
    stack: bool = False,
) -> Iterator[Report]:
    """`detect_syncs`, and raise at the end of the block if there was anything to report.

    All waits are in the error, not only the first. An exception of the block itself goes first.

    Raises:
        SyncError: the host waited at least once.
    """
    with detect_syncs(device=device, host=host, stack=stack) as report:
        yield report
    if report.count:
        raise SyncError(report)
