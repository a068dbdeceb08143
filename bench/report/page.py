"""A gate's report as one HTML file: verdict first, then tables, plots and pictures."""

from collections.abc import Sequence

from markupsafe import Markup

from bench.base.verdict import Outcome, Verdict, exit_code
from bench.cost.spending import TITLE
from bench.report.blame import Blame
from bench.report.cells import (
    BUDGET_COLUMNS,
    OVERALL,
    TIMING_COLUMNS,
    VERDICT_COLUMNS,
    budget_rows,
    timing_cells,
    unique,
    verdict_cells,
)
from bench.report.evidence import Evidence
from bench.report.origin import Origin

Section = tuple[str, str, list[Markup]]
"""Heading, a sentence, plots."""


def render_report(
    verdicts: Sequence[Verdict],
    *,
    title: str,
    origin: Origin,
    evidence: Evidence,
    blame: Blame | None = None,
) -> str:
    """The page. Raises UserError if there is no verdict, or if raw timings are no durations."""
    from bench.report.gallery import Gallery
    from bench.report.html import render

    overall = OVERALL[exit_code(verdicts)]
    gallery = Gallery()
    pictures = [(gallery.add(shown.image), shown.caption) for shown in evidence.pictures]
    sections = [*_latency(evidence), *_flips(evidence), *_roofline(evidence), *_sweep(evidence)]
    return render(
        "bench.report",
        "page.html.j2",
        title=title,
        overall=str(overall),
        origin=origin,
        unhappy=[verdict for verdict in verdicts if verdict.outcome is not Outcome.PASS],
        verdict_columns=VERDICT_COLUMNS,
        verdicts=[verdict_cells(verdict) for verdict in verdicts],
        timing_columns=TIMING_COLUMNS,
        timings=[timing_cells(row) for row in evidence.timed],
        budget_title=TITLE,
        budget_columns=BUDGET_COLUMNS,
        budgets=budget_rows(evidence.budgets),
        sections=sections,
        pictures=pictures,
        commands=unique(verdict.reproduce for verdict in verdicts),
        blame=blame,
        gallery=gallery.images,
    )


def _latency(evidence: Evidence) -> list[Section]:
    if not evidence.samples:
        return []
    from bench.report.plots.latency import latency_distributions
    from bench.report.plots.style import inline_svg

    plots = [
        Markup(
            inline_svg(
                latency_distributions(samples, case=case),
                name=f"latency-{number}",
                label=f"distribution of the calls' latency, {case}",
            )
        )
        for number, (case, samples) in enumerate(evidence.samples.items())
    ]
    note = (
        "Every call is a dot, in order of time from top to bottom; the long line is the median,"
        " the short one the 90th percentile."
    )
    return [("Latency of every call", note, plots)]


def _flips(evidence: Evidence) -> list[Section]:
    if not evidence.flips:
        return []
    from bench.report.plots.flips import flips_by_category
    from bench.report.plots.style import inline_svg

    plots = []
    for number, level in enumerate(dict.fromkeys(row.level for row in evidence.flips)):
        rows = [row for row in evidence.flips if row.level == level]
        figure = flips_by_category(rows, level=level)
        if figure is not None:
            label = f"questions lost and gained by {level}"
            plots.append(Markup(inline_svg(figure, name=f"flips-{number}", label=label)))
    note = "Lost were right in the reference and are wrong now; gained the other way round."
    return [("Flips by category", note if plots else "No question flipped.", plots)]


def _roofline(evidence: Evidence) -> list[Section]:
    from bench.report.plots.roofline import roofline
    from bench.report.plots.style import inline_svg

    plots = []
    for number, case in enumerate(dict.fromkeys(row.case for row in evidence.timed)):
        figure = roofline(evidence.timed, case=case)
        if figure is not None:
            label = f"roofline with the stages on it, {case}"
            plots.append(Markup(inline_svg(figure, name=f"roofline-{number}", label=label)))
    note = (
        "Median speed of each stage against how much it computes for each byte it moves. The"
        " line above a mark ends where the floor in the table below stands."
    )
    return [("Stages under the roof", note, plots)] if plots else []


def _sweep(evidence: Evidence) -> list[Section]:
    if evidence.sweep is None:
        return []
    from bench.report.plots.style import inline_svg
    from bench.report.plots.sweep import accuracy_against_latency, accuracy_over

    sweep = evidence.sweep
    plots = [
        Markup(
            inline_svg(
                accuracy_over(sweep, "tokens"),
                name="tokens",
                label="accuracy against kept visual tokens",
            )
        ),
        Markup(
            inline_svg(
                accuracy_against_latency(sweep), name="pareto", label="accuracy against latency"
            )
        ),
    ]
    note = f"From bench sweep, {sweep.questions} questions, profile {sweep.profile}"
    note += f", commit {sweep.commit[:12]}." if sweep.commit else "."
    return [("Accuracy against kept tokens", note, plots)]
