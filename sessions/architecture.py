"""The house as a picture, drawn from its own imports: `nox -s architecture`.

Floors are the layers that `[tool.importlinter]` in pyproject.toml fixes, arrows are imports that
are there. An arrow that follows from two others is left out, or nothing could be seen.
"""

import ast
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

import grimp
import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from sessions.environment import PROJECT, ROOT

PICTURE = ROOT / "docs" / "pictures" / "architecture.svg"
WIDTH, FLOOR, HEIGHT = 10.0, 1.0, 0.72  # of the picture, from floor to floor, of a box; inches
PAPER, INK, FAINT = "#ffffff", "#1f2933", "#8a96a3"
BENCH, MODEL = "#e6eef7", "#f7e6ea"


def floors() -> list[list[str]]:
    """The wings, top floor first; the model stands on the ground beside what all wings use."""
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    layers = next(c["layers"] for c in contracts if c.get("containers") == ["bench"])
    rows = [[f"bench.{wing}" for wing in re.split(r"\s*[|:]\s*", layer)] for layer in layers]
    rows[-1].append("hybrid")
    return rows


def imports() -> dict[str, set[str]]:
    """Wing -> the wings that it imports from."""
    graph = grimp.build_graph("bench", "hybrid", cache_dir=None)
    wings = [wing for row in floors() for wing in row]
    found: dict[str, set[str]] = {wing: set() for wing in wings}
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            importer, target = _wing(module, wings), _wing(imported, wings)
            if importer and target and importer != target:
                found[importer].add(target)
    return found


def direct(edges: Mapping[str, set[str]]) -> list[tuple[str, str]]:
    """Those that no way over a third wing explains."""

    def below(wing: str) -> set[str]:
        return edges[wing].union(*(below(next_) for next_ in edges[wing]))

    return [
        (wing, target)
        for wing, targets in edges.items()
        for target in sorted(targets)
        if not any(target in below(other) for other in targets - {target})
    ]


def draw(rows: Sequence[Sequence[str]], arrows: Sequence[tuple[str, str]]) -> Figure:
    """A box a wing, a row a floor."""
    figure = Figure(figsize=(WIDTH, len(rows) * FLOOR), facecolor=PAPER)
    axes: Any = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, WIDTH), ylim=(0, len(rows) * FLOOR))
    axes.axis("off")
    boxes = {}
    for number, row in enumerate(rows):
        share = WIDTH / len(row)
        width = min(share - 0.4, 4.6)
        for place, wing in enumerate(row):
            centre, bottom = (place + 0.5) * share, (len(rows) - number - 1) * FLOOR + 0.14
            boxes[wing] = (centre, bottom)
            colour = MODEL if wing == "hybrid" else BENCH
            axes.add_patch(
                FancyBboxPatch(
                    (centre - width / 2, bottom), width, HEIGHT,
                    boxstyle="round,pad=0,rounding_size=0.06", facecolor=colour, edgecolor=INK,
                    linewidth=0.8, zorder=2,
                )
            )  # fmt: skip
            lines, question = _told(wing)
            name = f"{wing.replace('.', '/')}/"
            axes.text(centre, bottom + 0.53, name, size=12, weight="bold", **_middle())
            axes.text(centre, bottom + 0.23, fill(question, 58), size=8, **_middle())
            axes.text(
                centre + width / 2 - 0.07, bottom + 0.55, f"{lines:,}", size=7, color=FAINT,
                ha="right", va="center", zorder=3,
            )  # fmt: skip
    for wing, target in arrows:
        (x, top), (to_x, to_bottom) = boxes[wing], boxes[target]
        aside = 0.35 * (to_x - x) / WIDTH
        axes.add_patch(
            FancyArrowPatch(
                (x + 2 * aside, top), (to_x - 2 * aside, to_bottom + HEIGHT),
                arrowstyle="-|>", mutation_scale=9, color=FAINT, linewidth=1, zorder=1,
                connectionstyle=f"arc3,rad={0.0 if top - to_bottom < 1.5 * FLOOR else 0.12}",
            )
        )  # fmt: skip
    return figure


def said(arrows: Sequence[tuple[str, str]]) -> str:
    """The arrows as text, which the picture carries, so that a test can hold it to the code."""
    return "; ".join(f"{wing} > {target}" for wing, target in arrows)


def main() -> None:
    """Write the picture."""
    arrows = direct(imports())
    # Letters as letters, and names that do not change from run to run.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "house", "font.family": "sans"}):
        draw(floors(), arrows).savefig(
            PICTURE, metadata={"Description": said(arrows), "Date": None, "Creator": None}
        )
    print(f"written to {PICTURE.relative_to(ROOT)}")


def _wing(module: str, wings: Sequence[str]) -> str | None:
    return next((w for w in wings if module == w or module.startswith(f"{w}.")), None)


def _told(wing: str) -> tuple[int, str]:
    """Its lines of Python, and the first sentence that its package says of itself."""
    folder = ROOT / Path(*wing.split("."))
    lines = sum(len(p.read_text(encoding="utf-8").splitlines()) for p in folder.rglob("*.py"))
    own = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    return lines, " ".join(own.split("\n\n")[0].split())


def _middle() -> dict[str, Any]:
    return {"ha": "center", "va": "center", "color": INK, "zorder": 3}


if __name__ == "__main__":
    main()
