"""All methods at equal budgets on the embedded model, as docs/methods.md and README show them.

    nox -s methods

A sweep is made (or finished, with `-- --reuse`), kept as measured/methods-tiny.json, and drawn from
there: the table of docs/methods.md, between its two marks, and docs/pictures/methods.png.
"""

import re
import subprocess
import sys
from collections.abc import Sequence

from bench.base.atomic import write_atomically
from bench.report.markdown import markdown_table
from bench.report.plots.style import png
from bench.report.plots.sweep import accuracy_over
from bench.report.sweep.result import FILE, Point, Sweep
from sessions.environment import ROOT

AVERAGES = "96,60,36,18,9,4"
FOLDER = ROOT / "outputs" / "methods"
RECORD = ROOT / "measured" / "methods-tiny.json"
PAGE = ROOT / "docs" / "methods.md"
PICTURE = ROOT / "docs" / "pictures" / "methods.png"
MARKS = ("<!-- nox -s methods: begin -->\n", "<!-- end -->\n")
COLUMNS = (
    "method", "keep", "tokens a layer", "FLOPs", "cache", "accuracy, 95%", "CIDEr, 95%",
    "time to dense, 99%", "against chance, 90%", "against a smaller image, 90%",
)  # fmt: skip


def table(sweep: Sweep) -> str:
    """What stands between the marks: a table, and what it says in words."""
    dense = [point for point in sweep.points if point.dense]
    # By what each layer gets; among equals the most accurate first.
    others = [point for point in sweep.points if not point.dense]
    others.sort(key=lambda point: (-round(point.average), -point.accuracy))
    lines = markdown_table(COLUMNS, [_cells(point) for point in [*dense, *others]])
    said = [f"- {line}" for line in sweep.said]
    asked = (
        f"{sweep.questions} questions, {sweep.images} images, answers timed at batch {sweep.batch}."
    )
    return "\n".join([asked, "", *lines, "", *said, ""])


def _cells(point: Point) -> list[str]:
    captions = ""
    if point.cider is not None:
        captions = f"{point.cider:.2f} ({point.cider_low:.2f} to {point.cider_high:.2f})"
    _, average, flops, cache = point.spent.cells
    time = f"{point.ratio:.2f} ({point.ratio_low:.2f} to {point.ratio_high:.2f})"
    return [
        "dense" if point.dense else point.method,
        "" if point.dense else point.keep,
        average,
        flops,
        cache,
        f"{point.accuracy:.3f} ({point.accuracy_low:.2f} to {point.accuracy_high:.2f})",
        captions,
        "1" if point.dense else time,
        *("" if each is None else _beside(each.cell) for each in (point.chance, point.smaller)),
    ]


def _beside(cell: str) -> str:
    return re.sub(r"\[(\S+), (\S+)\]", r"(\1 to \2)", cell)


def written(page: str, sweep: Sweep) -> str:
    """The page with the table of `sweep` between its marks."""
    begin, end = MARKS
    before, rest = page.split(begin)
    _, after = rest.split(end)
    return f"{before}{begin}{table(sweep)}{end}{after}"


def keep(sweep: Sweep) -> None:
    """Record a sweep, and rewrite the page and the picture from it."""
    sweep.save(RECORD)
    write_atomically(PAGE, written(PAGE.read_text(encoding="utf-8"), sweep).encode())
    write_atomically(PICTURE, png(accuracy_over(sweep, "average")))
    print(f"written: {RECORD.relative_to(ROOT)}, docs/methods.md, docs/pictures/methods.png")


def main(arguments: Sequence[str]) -> int:
    """The exit code of the sweep, which gets these arguments, too."""
    asked = ("--methods", "all", "--average", AVERAGES, "--coco", "--work-dir", str(FOLDER))
    command = [sys.executable, "-m", "bench", "sweep", *asked, *arguments]
    code = subprocess.run(command, cwd=ROOT, check=False).returncode
    if code == 0:
        keep(Sweep.load(FOLDER / "sweep" / FILE))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
