"""What a sweep found: a point for each reduction, beside dense."""

import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from bench.errors import UserError
from bench.reading import Unreadable, read_object
from bench.tasks.atomic import write_atomically

FILE = "sweep.json"
COLUMNS = (
    "", "keep", "merge", "tokens", "accuracy", "95% interval", "against dense", "90% interval",
    "CIDEr", "latency ratio", "99% interval",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Point:
    """One reduction, or dense itself, whose ratio and difference are with itself: 1 and 0.

    tokens: visual tokens that the last layers see. accuracy_*: circular accuracy and its Wilson
    interval. difference_*: to dense, paired by question. ratio_*: of a whole answer's time to
    dense's, in one job. cider: None if captions were not asked for.
    """

    keep: str
    merge: bool
    dense: bool
    tokens: int
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    difference: float
    difference_low: float
    difference_high: float
    ratio: float
    ratio_low: float
    ratio_high: float
    cider: float | None = None

    @property
    def name(self) -> str:
        """For tables and labels: `36`, `36, merged`."""
        if self.dense:
            return "dense"
        return f"{self.keep}, merged" if self.merge else self.keep


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """questions, images: how many were asked; images is 0 without captions. batch: of timing."""

    profile: str
    commit: str | None
    questions: int
    images: int
    batch: int
    points: Sequence[Point]

    def save(self, path: Path) -> None:
        document = json.dumps(_finite(asdict(self)), indent=1, allow_nan=False)
        write_atomically(path, f"{document}\n".encode())

    @classmethod
    def load(cls, path: Path) -> "Sweep":
        """What `save` wrote. Raises UserError if the file is missing or something else."""
        try:
            document = read_object(path)
            points = [Point(**_infinite(point)) for point in document.pop("points")]
            sweep = cls(**document, points=points)
            _check(sweep)
        except Unreadable as error:
            reason = f"{path}: no sweep (it {error.reason}); run python -m bench sweep"
            raise UserError(reason) from None
        except (ValueError, TypeError, KeyError, AttributeError) as error:
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


def point_cells(point: Point, *, on_front: bool) -> list[str]:
    """In the order of COLUMNS."""
    accuracy = f"[{point.accuracy_low:.4f}, {point.accuracy_high:.4f}]"
    difference = f"[{point.difference_low:+.4f}, {point.difference_high:+.4f}]"
    ratio = f"[{point.ratio_low:.3f}, {point.ratio_high:.3f}]"
    return [
        "front" if on_front else "",
        "dense" if point.dense else point.keep,
        "" if point.dense else "on" if point.merge else "off",
        str(point.tokens),
        f"{point.accuracy:.4f}",
        accuracy,
        "" if point.dense else f"{point.difference:+.4f}",
        "" if point.dense else difference,
        "" if point.cider is None else f"{point.cider:.4f}",
        f"{point.ratio:.3f}",
        "" if point.dense else ratio,
    ]


def _check(sweep: Sweep) -> None:
    """Raises ValueError for numbers that no sweep finds."""
    if sum(point.dense for point in sweep.points) != 1 or len(sweep.points) < 2:
        raise ValueError("it holds no point beside one dense one")
    for point in sweep.points:
        if not (0 <= point.accuracy <= 1 and 0 < point.ratio < math.inf and point.tokens > 0):
            raise ValueError(f"point {point.name} has accuracy or ratio that cannot be")


def _finite(document: dict[str, Any]) -> dict[str, Any]:
    """An interval of too few samples ends at infinity, which JSON has no word for: null."""
    points = [
        {key: None if value == math.inf else value for key, value in point.items()}
        for point in document["points"]
    ]
    return document | {"points": points}


def _infinite(point: dict[str, Any]) -> dict[str, Any]:
    names = {field.name for field in fields(Point)} - {"cider"}
    return {k: math.inf if v is None and k in names else v for k, v in point.items()}
