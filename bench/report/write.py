"""All files of one gate's report, written in one call."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.base.atomic import write_atomically
from bench.base.errors import UserError
from bench.base.verdict import Verdict
from bench.cost.spending import Budgets, budgets_json
from bench.report.blame import blame
from bench.report.cells import as_json
from bench.report.evidence import Evidence, FlipCounts, Picture
from bench.report.junit import junit
from bench.report.markdown import markdown
from bench.report.origin import origin_here, revision, write_origin
from bench.report.page import render_report
from bench.report.sweep.result import Sweep
from bench.report.timing import Timing
from bench.timing.samples import Samples


def write_report(
    folder: Path,
    verdicts: Sequence[Verdict],
    *,
    title: str,
    timed: Sequence[Timing] = (),
    budgets: Budgets | None = None,
    settings: Mapping[str, str] | None = None,
    against: str | None = None,
    history: Path | None = None,
    samples: Mapping[str, Samples] | None = None,
    flips: Sequence[FlipCounts] = (),
    pictures: Sequence[Picture] = (),
    sweep: Sweep | None = None,
    options: Sequence[str] = (),
) -> None:
    """Writes what a gate found into `folder`, under names that start with `title`:

    `-report.md` (also appended to the file that GITHUB_STEP_SUMMARY names, if it is set),
    `-report.html` with the plots, `-junit.xml`, `-verdicts.json`, and `-origin.json`, which says
    what commit, machine and settings all of them hold for, and what each arm spends. Prints where
    the page lies.

    Args:
        title: the gate, as `bench bisect --gate` knows it.
        settings: what was asked, as options of the command: profile, keep. Runs with other
            settings are other series of `bench history`.
        against: the revision that was measured beside this one: GOOD of the bisect command.
        history: the file of `bench history`, which knows the last green commit.
        samples: case ("batch 8") -> raw timings, for the distributions.
        flips: lost and gained by category.
        pictures: of kept patches.
        budgets: what each arm spends.
        options: of the gate's command, for the bisect command to give it, too.
        sweep: of `bench sweep`, for accuracy against kept tokens.

    Raises:
        UserError: there is no verdict, or a file cannot be written.
    """
    origin = origin_here(settings or {})
    found = blame(title, origin, verdicts, options=options, against=against, history=history)
    code = revision(origin.commit, dirty=origin.dirty)
    summary = markdown(verdicts, title=title, timed=timed, budgets=budgets, blame=found, code=code)
    evidence = Evidence(
        timed=timed,
        samples=samples or {},
        flips=flips,
        pictures=pictures,
        sweep=sweep,
        budgets=budgets or {},
    )
    page = render_report(verdicts, title=title, origin=origin, evidence=evidence, blame=found)
    properties = {"commit": origin.commit or "", "dirty": str(origin.dirty).lower()}
    properties |= dict(origin.machine) | dict(origin.settings)
    spent = budgets_json(budgets or {})
    for arm, numbers in spent.items():
        counted = {name: number for name, number in numbers.items() if number is not None}
        properties |= {f"{arm} {name}": str(number) for name, number in counted.items()}
    results = junit(verdicts, title=title, properties=properties)
    document = json.dumps([as_json(verdict) for verdict in verdicts], indent=2, allow_nan=False)
    write_atomically(folder / f"{title}-report.md", summary.encode())
    write_atomically(folder / f"{title}-report.html", page.encode())
    write_atomically(folder / f"{title}-junit.xml", results)
    write_atomically(folder / f"{title}-verdicts.json", f"{document}\n".encode())
    write_origin(folder / f"{title}-origin.json", origin, spent)
    _append_to_job_summary(summary)
    print(f"report: {folder / title}-report.html")


def _append_to_job_summary(summary: str) -> None:
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return
    try:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(summary + "\n")
    except OSError as error:
        raise UserError(
            f"GITHUB_STEP_SUMMARY {path}: can't be written: {error.strerror}"
        ) from error
