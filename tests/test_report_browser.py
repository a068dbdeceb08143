"""The pages in a real browser, at a phone's and a desktop's width."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from bench.base.verdict import Outcome
from bench.cost.spending import Budget
from bench.report.blame import Blame
from bench.report.evidence import Evidence, Picture
from bench.report.history.page import write_history_page
from bench.report.history.series import all_series
from bench.report.history.spent import all_spent
from bench.report.history.store import Entry
from bench.report.origin import Origin
from bench.report.page import render_report
from bench.report.sweep.page import write_sweep
from tests.browser import look_at
from tests.reports import FLIPS, samples, sweep, timed, verdict

ORIGIN = Origin(
    commit="ab" * 20, dirty=True, time="2026-01-01T00:00:00+00:00", machine={"cpu": "a processor"}
)


def report(_: Path) -> str:
    evidence = Evidence(
        timed=timed(),
        samples={"batch 8": samples()},
        flips=FLIPS,
        pictures=[Picture(Image.new("RGB", (336, 336), "red"), "18 of 60 tokens kept")],
        sweep=sweep(),
    )
    verdicts = [verdict(outcome, f"batch-8/latency/hybrid/{outcome}") for outcome in Outcome]
    blame = Blame(f"python -m bench bisect {'a' * 40} {'b' * 40} --gate latency -- --keep 36", "-")
    return render_report(verdicts, title="latency", origin=ORIGIN, evidence=evidence, blame=blame)


def history(folder: Path) -> str:
    entries = []
    for day in range(1, 25):
        value = 0.6 + 0.001 * (day % 3) + 0.05 * (day > 12)
        numbers = {"value": value, "low": value - 0.01, "high": value + 0.01, "bound": 0.64}
        origin = Origin(
            commit=f"{day:040x}",
            dirty=False,
            time=f"2026-01-{day:02d}T00:00:00+00:00",
            machine=ORIGIN.machine,
        )
        found = {"gate": "batch-8/latency/hybrid/answer", "outcome": "PASS", "numbers": numbers}
        budgets = {"hybrid": Budget(36 + (day > 12), 43.75, 10**9, 512_000)} if day > 2 else None
        entries.append(Entry(title="latency", origin=origin, verdicts=(found,), budgets=budgets))
    path = folder / "history.html"
    series, spent = all_series(entries), all_spent(entries)
    write_history_page(path, series, spent, machine=ORIGIN.machine, notes=["a note"])
    return path.read_text()


def swept(folder: Path) -> str:
    write_sweep(folder, sweep())
    return (folder / "sweep.html").read_text()


@pytest.mark.parametrize(("make", "plots"), [(report, 5), (history, 1), (swept, 2)])
def test_a_page_fits_phone_and_desktop_shows_every_plot_and_asks_for_nothing(
    tmp_path: Path, make: Callable[[Path], str], plots: int
) -> None:
    for seen in look_at(make(tmp_path), tmp_path, widths=(390, 1280)):
        assert seen.scroll <= seen.inner, "the page scrolls sideways"
        assert seen.complaints == []
        assert len(seen.plots) == plots
        for plot in seen.plots:
            assert plot["width"] > 300 and plot["height"] > 100, plot
            assert plot["texts"] > 5, plot
            assert plot["cut"] == [], plot
            assert plot["smallest"] >= 8, plot


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        ('<img src="http://example.com/a.png">', "asked for http://example.com/a.png"),
        ("<script>undefined_name()</script>", "undefined_name is not defined"),
    ],
)
def test_the_look_sees_a_request_and_an_error(tmp_path: Path, broken: str, complaint: str) -> None:
    (seen,) = look_at(f"<html><head></head><body>{broken}</body></html>", tmp_path, widths=[390])
    assert any(complaint in said for said in seen.complaints)


def test_the_look_sees_what_sticks_out(tmp_path: Path) -> None:
    wide = '<div style="width: 900px">wide</div>'
    plot = '<svg class="plot" viewBox="0 0 100 100" width="100"><text x="80">cut off</text></svg>'
    (seen,) = look_at(
        f"<html><head></head><body>{wide}{plot}</body></html>", tmp_path, widths=[390]
    )
    assert seen.scroll > 390
    assert seen.plots[0]["cut"] == ["cut off"]
