"""Merging thresholds: presets by name, and files by `python -m hybrid.calibrate`."""

from pathlib import Path

from pydantic import TypeAdapter

from bench.base.errors import UserError
from bench.base.home import expanded
from bench.base.reading import Unreadable, read_object
from hybrid.merging import THRESHOLDS_72OUT

NUMBERS = TypeAdapter(list[float])
THRESHOLDS = {"72out": THRESHOLDS_72OUT}


def load_thresholds(source: str, folder: Path = Path()) -> tuple[float, ...]:
    """Thresholds by a preset's name (72out), or from a file by `python -m hybrid.calibrate`.

    Raises:
        UserError: if it is neither, or a value in it is not a cosine similarity.
    """
    if source in THRESHOLDS:
        return THRESHOLDS[source]
    try:
        values = read_object(folder / expanded(source))["thresholds"]
        thresholds = tuple(NUMBERS.validate_python(values, strict=True))
    except Unreadable as error:
        if error.missing:
            presets = ", ".join(THRESHOLDS)
            raise UserError(
                f"no thresholds {source!r} (No such file): give {presets}, or a file that "
                "python -m hybrid.calibrate wrote"
            ) from error
        raise UserError(
            f"{source} is not a thresholds file (it {error.reason}): python -m hybrid.calibrate"
            " writes one"
        ) from error
    except (ValueError, KeyError) as error:
        raise UserError(
            f"{source} is not a thresholds file: python -m hybrid.calibrate writes one"
        ) from error
    if not thresholds:
        raise UserError(f"{source} holds no thresholds: one for each block of the tower is needed")
    for block, threshold in enumerate(thresholds):
        if not -1.0 <= threshold <= 1.0:  # a NaN fails this too
            raise UserError(
                f"{source}: the threshold of block {block} is {threshold}, "
                "not a cosine similarity in [-1, 1]"
            )
    return thresholds
