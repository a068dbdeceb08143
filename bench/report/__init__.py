"""Verdicts and timings for people and for machines.

Tables on a terminal, markdown for a pull request, JUnit XML for a dashboard, one HTML page with
plots, and JSON for `bench.report.history`.
"""

from bench.report.cells import as_json
from bench.report.evidence import FlipCounts, Picture
from bench.report.markdown import markdown
from bench.report.terminal import (
    print_line,
    print_score,
    print_table,
    print_timings,
    print_verdicts,
)
from bench.report.timing import Timing, timings
from bench.report.write import write_report

__all__ = [
    "FlipCounts",
    "Picture",
    "Timing",
    "as_json",
    "markdown",
    "print_line",
    "print_score",
    "print_table",
    "print_timings",
    "print_verdicts",
    "timings",
    "write_report",
]
