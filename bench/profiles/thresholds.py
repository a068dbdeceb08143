"""Merging thresholds: presets by name, and files by `python -m hybrid.calibrate`."""

import json
from pathlib import Path

from bench.errors import UserError
from bench.home import expanded
from hybrid.merging import THRESHOLDS_72OUT

THRESHOLDS = {"72out": THRESHOLDS_72OUT}


def load_thresholds(source: str, folder: Path = Path()) -> tuple[float, ...]:
    """Thresholds by a preset's name (72out), or from a file by `python -m hybrid.calibrate`.

    Raises:
        UserError: if it is neither, or a value in it is not a cosine similarity.
    """
    if source in THRESHOLDS:
        return THRESHOLDS[source]
    try:
        path = folder / expanded(source)
        if path.exists() and not path.is_file():  # a pipe would hang
            raise UserError(f"{source} is no regular file: give one by python -m hybrid.calibrate")
        values = json.loads(path.read_text(encoding="utf-8"))["thresholds"]
        thresholds = tuple(float(value) for value in values)
    except OSError as error:
        presets = ", ".join(THRESHOLDS)
        raise UserError(
            f"no thresholds {source!r} ({error.strerror}): give {presets}, or a file that "
            "python -m hybrid.calibrate wrote"
        ) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
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
