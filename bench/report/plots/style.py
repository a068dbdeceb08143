"""How every plot looks, and how it becomes SVG.

An arm has the same colour and the same marker everywhere. Figures are as wide as a phone's screen
in CSS pixels, so that text has its own size there and grows on a desktop. Text stays text, and the
same numbers make the same bytes.
"""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from bench.report.colours import COLOURS

WIDTH = 4.8  # inches of 72 CSS pixels: 346

ARMS = {
    "dense": ("grey", "o"),
    "hybrid": ("blue", "D"),
    "off": ("orange", "s"),
    "base": ("green", "^"),
    "random": ("purple", "X"),
    "dymu": ("green", "P"),
    "fastv": ("vermillion", "v"),
    "lowest": ("sky", "<"),
    "compact": ("orange", ">"),
}
SPARE = (("green", "^"), ("vermillion", "P"), ("sky", "<"), ("purple", ">"), ("orange", "h"))
SETTINGS: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "vlm-hybrid",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10.5,
    "axes.labelsize": 10.5,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "legend.fontsize": 9.5,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "xtick.major.width": 0.8,
    "ytick.major.width": 0.8,
    "lines.linewidth": 1.6,
    "text.parse_math": False,
}


def colour(name: str) -> str:
    """The light-page colour; in a page, `inline_svg` makes it follow the page."""
    return COLOURS[name][0]


def arm_looks(arms: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Arm -> (colour, marker). What a revision's arm is called starts with `base`."""
    looks, spare = {}, iter(SPARE * (1 + len(arms) // len(SPARE)))
    for arm in arms:
        known = ARMS.get("base" if arm.startswith("base") else arm)
        name, marker = known or next(spare)
        looks[arm] = (colour(name), marker)
    return looks


@contextmanager
def styled() -> Iterator[None]:
    """Figures made in here look as described above."""
    inks: Any = {
        key: colour("soft")
        for key in ("xtick.color", "ytick.color", "axes.edgecolor", "axes.labelcolor")
    }
    inks |= {"text.color": colour("text"), "axes.titlecolor": colour("text")}
    inks |= {"grid.color": colour("line"), "hatch.color": colour("soft")}
    with mpl.rc_context(SETTINGS | inks):
        yield


def new_figure(height: float, *, rows: int = 1, **options: Any) -> tuple[Figure, list[Axes]]:
    """A figure of `height` inches with `rows` axes below each other, laid out without overlap."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained", dpi=72)
    FigureCanvasAgg(figure)  # so that the sizes of texts can be asked for
    axes = figure.subplots(rows, 1, squeeze=False, **options)
    for axis in axes[:, 0]:
        axis.set_facecolor("none")
    return figure, list(axes[:, 0])


def plain_numbers(axis: Any) -> None:
    """0.5, 20, 3k on a logarithmic axis, not powers of ten."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axis.set_minor_formatter(FuncFormatter(lambda value, _: ""))


def short(value: float) -> str:
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def with_unit(value: float, unit: str) -> str:
    """`110 GFLOP/s`."""
    number = short(value)
    digits = number.rstrip("kMGT")
    return f"{digits} {number[len(digits) :]}{unit}"


def plain_svg(figure: Figure) -> bytes:
    """A file of its own, on white."""
    out = io.BytesIO()
    with styled():
        figure.savefig(out, format="svg", facecolor="white", metadata={"Date": None})
    return out.getvalue()


def png(figure: Figure) -> bytes:
    out = io.BytesIO()
    with styled():
        figure.savefig(out, format="png", dpi=180, facecolor="white", metadata={"Software": None})
    return out.getvalue()


def inline_svg(figure: Figure, *, name: str, label: str) -> str:
    """An `<svg>` for a page that defines COLOURS as CSS variables.

    name: unique in the page, put before every id. label: what a screen reader says.
    """
    out = io.StringIO()
    with styled():
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    width, height = re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)[0]
    svg = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font: \1 system-ui, sans-serif", svg)
    svg = re.sub(r"font: (\w+ [\d.]+px) [^;\"]*", r"font: \1 system-ui, sans-serif", svg)
    svg = re.sub(r'\bid="([^"]*)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r'href="#([^"]*)"', rf'href="#{name}-\1"', svg)
    svg = re.sub(r"url\(#([^)]*)\)", rf"url(#{name}-\1)", svg)
    for variable, (light, _) in COLOURS.items():
        svg = svg.replace(light, f"var(--{variable})")
    escaped = label.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    opening = (
        f'<svg class="plot" role="img" aria-label="{escaped}" viewBox="0 0 {width} {height}"'
        f' style="aspect-ratio: {width} / {height}" xmlns="http://www.w3.org/2000/svg"'
        ' xmlns:xlink="http://www.w3.org/1999/xlink">'
    )
    return re.sub(r"<svg[^>]*>", opening, svg, count=1)
