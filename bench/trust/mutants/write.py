"""`mutants.html`, `mutants.md` and `mutants.json`."""

import json
from collections.abc import Sequence
from pathlib import Path

from bench.base.atomic import write_atomically
from bench.base.verdict import Verdict
from bench.report.html import render
from bench.trust.mutants.results import COLUMNS, cells, markdown, to_json
from bench.trust.mutants.session import Result


def write_session(
    folder: Path, results: Sequence[Result], verdicts: Sequence[Verdict], *, title: str
) -> Path:
    """Writes the three files; returns the page."""
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / "mutants.html"
    html = render(
        "bench.trust.mutants",
        "page.html.j2",
        title=title,
        verdicts=verdicts,
        columns=COLUMNS,
        rows=[cells(result) for result in results],
    )
    document = json.dumps(to_json(results, verdicts), indent=1) + "\n"
    write_atomically(page, html.encode())
    write_atomically(folder / "mutants.md", markdown(results, title).encode())
    write_atomically(folder / "mutants.json", document.encode())
    return page
