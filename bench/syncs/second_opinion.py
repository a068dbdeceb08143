"""The same code on the `meta` device: no values at all, so nothing can be read by accident.

It sees what the CPU tier cannot, because there the device is called `cpu` as well: a factory that
was not told its device, `.to(torch.device("cpu"))`, and whatever else mixes the two. But it ends at
the first read, since on `meta` there is nothing to go on with.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.syncs.detector import detect_syncs
from bench.syncs.report import Report


@dataclass(frozen=True, kw_only=True)
class SecondOpinion:
    """`finished` is False where a read of a value ended the run; `report` then ends with it."""

    report: Report
    finished: bool


def second_opinion(run: Callable[[], object], *, stack: bool = False) -> SecondOpinion:
    """Run code whose model and inputs are on `meta`, and report waits up to the first read.

    Raises:
        RuntimeError: of the code itself, if it failed before anything was found.
    """
    with detect_syncs(device="meta", stack=stack) as report:
        try:
            run()
        except (RuntimeError, NotImplementedError):
            if not report.count:
                raise
            return SecondOpinion(report=report, finished=False)
    return SecondOpinion(report=report, finished=True)
