"""What a sweep found: a point for each reduction, beside dense."""

import csv
import io
import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import compress
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter, with_config

from bench.base.atomic import write_atomically
from bench.base.errors import UserError
from bench.base.reading import Unreadable, read_json
from bench.base.shapes import Count, Number, checked
from bench.cost import spending

FILE = "sweep.json"
COLUMNS = (
    "", "keep", "merge", "method", *spending.COLUMNS, "accuracy", "95% interval",
    "against dense", "90% interval", "CIDEr", "95% interval", "latency ratio", "99% interval",
    "against chance", "against a smaller image",
)  # fmt: skip
SLACK = 1e-9  # by which rounding may leave a value outside of its interval
Kept = Annotated[str, Field(pattern=r"^(none|[0-9.]{1,20})$")]
Method = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{0,40}$")]
Share = Annotated[float, Field(ge=0, le=1)]
_NO_OTHER_KEYS = ConfigDict(extra="forbid")


@with_config(_NO_OTHER_KEYS)
@dataclass(frozen=True, kw_only=True)
class Beside:
    """What a plain way to as many tokens a layer answers, paired by question.

    keep: its budget. difference_*: of the method's accuracy to it.
    """

    keep: Kept
    difference: Number
    difference_low: Number
    difference_high: Number

    @property
    def is_beaten(self) -> bool:
        """Whether the method is better beyond its interval."""
        return self.difference_low > 0

    @property
    def cell(self) -> str:
        """For tables."""
        interval = f"[{self.difference_low:+.3f}, {self.difference_high:+.3f}]"
        return f"{'' if self.is_beaten else 'not better: '}{self.difference:+.3f} {interval}"


@with_config(_NO_OTHER_KEYS)
@dataclass(frozen=True, kw_only=True)
class Point:
    """One reduction, or dense itself, whose ratio and difference are with itself: 1 and 0.

    method: its name; empty for the grid of merging and pruning. tokens, average, flops,
    cache_bytes: see `bench.cost.spending.Budget`. accuracy_*: circular accuracy and its Wilson
    interval. difference_*: to dense, paired by question. ratio_*: of a whole answer's time to
    dense's, in one job. cider_*: mean over images and its bootstrap, None if captions were not
    asked for. chance, smaller: what `bench.report.sweep.grid.PLAIN` names, at as many tokens a
    layer; None for these themselves, and for the grid.
    """

    keep: Kept
    merge: bool
    dense: bool
    tokens: Annotated[Count, Field(gt=0)]
    average: Annotated[Number, Field(gt=0)]
    flops: Annotated[Count, Field(gt=0)] | None
    cache_bytes: Annotated[Count, Field(gt=0)]
    accuracy: Share
    accuracy_low: Share
    accuracy_high: Share
    difference: Number
    difference_low: Number
    difference_high: Number
    ratio: Annotated[Number, Field(gt=0)]
    ratio_low: Annotated[Number, Field(ge=0)]
    ratio_high: Annotated[Number, Field(gt=0)] | Annotated[float, Field(ge=math.inf)]
    cider: Number | None = None
    cider_low: Number | None = None
    cider_high: Number | None = None
    method: Method = ""
    chance: Beside | None = None
    smaller: Beside | None = None

    @property
    def spent(self) -> spending.Budget:
        """Its budget."""
        return spending.Budget(self.tokens, self.average, self.flops, self.cache_bytes)

    @property
    def name(self) -> str:
        """For tables and labels: `36`, `36, merged`."""
        if self.dense:
            return "dense"
        if self.method:
            return f"{self.keep}, {self.method}"
        return f"{self.keep}, merged" if self.merge else self.keep


@with_config(_NO_OTHER_KEYS)
@dataclass(frozen=True, kw_only=True)
class Sweep:
    """questions, images: how many were asked; images is 0 without captions. batch: of timing.
    said: what the points mean, in words."""

    profile: str
    commit: str | None
    questions: Count
    images: Count
    batch: Count
    points: Sequence[Point]
    said: Sequence[str] = field(default_factory=list)

    def save(self, path: Path) -> None:
        document = json.dumps(_finite(asdict(self)), indent=1, allow_nan=False)
        write_atomically(path, f"{document}\n".encode())

    @classmethod
    def load(cls, path: Path) -> "Sweep":
        """What `save` wrote. Raises UserError if the file is missing or something else."""
        try:
            sweep = checked(TypeAdapter(cls), _infinite(read_json(path)))
            _check(sweep)
        except Unreadable as error:
            reason = f"{path}: no sweep (it {error.reason}); run python -m bench sweep"
            raise UserError(reason) from None
        except ValueError as error:
            raise UserError(f"{path}: no sweep ({error}); run python -m bench sweep") from None
        return sweep


def saved_sweep(folder: Path) -> Sweep | None:
    """The sweep in a folder, None if there is none. Raises UserError if it is damaged."""
    path = folder / FILE
    return Sweep.load(path) if os.path.lexists(path) else None


def pareto_front(points: Sequence[Point]) -> list[Point]:
    """The points that no other one beats: none is at least as accurate and at least as fast, and
    better in one. By latency. Equal ones are all kept."""

    def beats(one: Point, other: Point) -> bool:
        as_good = one.accuracy >= other.accuracy and one.ratio <= other.ratio
        return as_good and (one.accuracy > other.accuracy or one.ratio < other.ratio)

    front = [p for p in points if not any(beats(other, p) for other in points)]
    return sorted(front, key=lambda point: (point.ratio, point.accuracy))


def table(sweep: Sweep) -> tuple[list[str], list[list[str]]]:
    """Columns and rows; a column that has nothing to say is left out."""
    front = pareto_front(sweep.points)
    rows = [point_cells(point, on_front=point in front) for point in sweep.points]
    said = [any(cells) for cells in zip(*rows, strict=True)]
    return list(compress(COLUMNS, said)), [list(compress(row, said)) for row in rows]


def as_csv(sweep: Sweep) -> str:
    """All numbers as they are, a line a point."""
    rows = [_flat(asdict(point)) for point in sweep.points]
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _flat(point: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in point.items():
        if isinstance(value, dict):
            flat |= {f"{name}_{inner}": part for inner, part in value.items()}
        else:
            flat[name] = value
    return {name: value for name, value in flat.items() if value is not None}


def point_cells(point: Point, *, on_front: bool) -> list[str]:
    """In the order of COLUMNS."""
    accuracy = f"[{point.accuracy_low:.4f}, {point.accuracy_high:.4f}]"
    difference = f"[{point.difference_low:+.4f}, {point.difference_high:+.4f}]"
    ratio = f"[{point.ratio_low:.3f}, {point.ratio_high:.3f}]"
    return [
        "front" if on_front else "",
        "dense" if point.dense else point.keep,
        "" if point.dense or point.method else "on" if point.merge else "off",
        point.method,
        *point.spent.cells,
        f"{point.accuracy:.4f}",
        accuracy,
        "" if point.dense else f"{point.difference:+.4f}",
        "" if point.dense else difference,
        "" if point.cider is None else f"{point.cider:.4f}",
        "" if point.cider is None else f"[{point.cider_low:.4f}, {point.cider_high:.4f}]",
        f"{point.ratio:.3f}",
        "" if point.dense else ratio,
        "" if point.chance is None else point.chance.cell,
        "" if point.smaller is None else point.smaller.cell,
    ]


def _check(sweep: Sweep) -> None:
    """Raises ValueError for numbers that no sweep finds."""
    if sum(point.dense for point in sweep.points) != 1 or len(sweep.points) < 2:
        raise ValueError("it holds no point beside one dense one")
    for point in sweep.points:
        for low, value, high in (
            (point.accuracy_low, point.accuracy, point.accuracy_high),
            (point.difference_low, point.difference, point.difference_high),
            (point.ratio_low, point.ratio, point.ratio_high),
            (point.cider_low, point.cider, point.cider_high),
        ):
            if low is None or value is None or high is None:
                if low is not value or high is not value:
                    raise ValueError(f"point {point.name}: CIDEr without its interval")
                continue
            if not low - SLACK <= value <= high + SLACK:
                raise ValueError(f"point {point.name}: {value:g} is outside of its interval")


def _finite(document: dict[str, Any]) -> dict[str, Any]:
    """An interval of too few samples ends at infinity, which JSON has no word for: null."""
    points = [
        {key: None if value == math.inf else value for key, value in point.items()}
        for point in document["points"]
    ]
    return document | {"points": points}


def _infinite(document: Any) -> Any:
    """As it was before `_finite`: of what a point has, only an upper end can be infinite."""
    for point in document["points"] if _holds(document, "points", list) else ():
        if _holds(point, "ratio_high", type(None)):
            point["ratio_high"] = math.inf
    return document


def _holds(document: Any, key: str, kind: type) -> bool:
    return isinstance(document, dict) and isinstance(document.get(key, kind), kind)
