"""Merging thresholds and schedules: presets by name, and files by `python -m hybrid.calibrate`."""

from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from bench.base.errors import UserError
from bench.base.home import expanded
from bench.base.reading import Unreadable, read_object
from hybrid.merging import THRESHOLDS_72OUT

NUMBERS = TypeAdapter(list[float])
SIZES = TypeAdapter(list[int])
THRESHOLDS = {"72out": THRESHOLDS_72OUT}


def load_thresholds(source: str, folder: Path = Path()) -> tuple[float, ...]:
    """Thresholds by a preset's name (72out), or from a file by `python -m hybrid.calibrate`.

    Raises:
        UserError: if it is neither, or a value in it is not a cosine similarity.
    """
    if source in THRESHOLDS:
        return THRESHOLDS[source]
    presets = f"{', '.join(THRESHOLDS)}, or "
    thresholds = _listed(source, folder, "thresholds", NUMBERS, presets)
    for block, threshold in enumerate(thresholds):
        if not -1.0 <= threshold <= 1.0:  # a NaN fails this too
            raise UserError(
                f"{source}: the threshold of block {block} is {threshold}, "
                "not a cosine similarity in [-1, 1]"
            )
    return tuple(thresholds)


def load_schedule(source: str, folder: Path = Path()) -> tuple[int, ...]:
    """The schedule that `python -m hybrid.calibrate` proposed, from the file that it wrote.

    Raises:
        UserError: if it is no such file, or a value in it is not a whole number from 1.
    """
    sizes = _listed(source, folder, "schedule", SIZES)
    for block, slots in enumerate(sizes):
        if slots < 1:
            raise UserError(
                f"{source}: the schedule of block {block} is {slots}, not a whole number from 1"
            )
    return tuple(sizes)


def _listed(source: str, folder: Path, key: str, kind: TypeAdapter[Any], presets: str = "") -> Any:
    """The list of that name in a file by calibration; it holds something."""
    writes = "python -m hybrid.calibrate writes one"
    try:
        values = kind.validate_python(read_object(folder / expanded(source))[key], strict=True)
    except Unreadable as error:
        if error.missing:
            raise UserError(
                f"no {key} {source!r} (No such file): give {presets}a file that "
                "python -m hybrid.calibrate wrote"
            ) from error
        raise UserError(f"{source} is not a {key} file (it {error.reason}): {writes}") from error
    except (ValueError, KeyError) as error:
        raise UserError(f"{source} is not a {key} file: {writes}") from error
    if not values:
        raise UserError(f"{source} holds no {key}: one for each block of the tower is needed")
    return values
