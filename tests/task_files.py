"""Small data files for the tests of bench.tasks, and where the recorded runs are."""

import base64
import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from PIL import Image

RECORDED = Path(__file__).resolve().parents[2] / "shared" / "data" / "recorded-runs"
needs_recorded = pytest.mark.skipif(
    not RECORDED.is_dir(), reason=f"the recorded runs are not at {RECORDED}"
)

MMBENCH_COLUMNS = [
    *("index", "question", "hint", "A", "B", "C", "D", "answer", "category", "image"),
    *("source", "l2-category", "comment", "split"),
]
ANIMALS = ("teddy bear", "rabbit", "cat", "dog")


def picture(colour: str, mode: str = "RGB", form: str = "PNG", side: int = 32) -> str:
    """Base64 text of an image, a square, long enough not to be taken for a pointer."""
    out = io.BytesIO()
    image = Image.new("RGB", (side, side), colour)
    image.paste((1, 2, 3), (5, 9, 12, 20))
    image.convert(mode).save(out, form)
    return base64.b64encode(out.getvalue()).decode()


def write_tsv(
    path: Path, rows: Sequence[Mapping[str, object]], columns: Sequence[str] | None = None
) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(
            file, columns or list(rows[0]), delimiter="\t", restval="", lineterminator="\n"
        )
        writer.writeheader()
        writer.writerows(rows)
    return path


def rotations(
    group: int,
    options: Sequence[str] = ANIMALS,
    answer: int = 1,
    *,
    turns: int | None = None,
    l2: str = "finegrained_perception (instance-level)",
    **cells: object,
) -> list[dict[str, object]]:
    """The rows of one question, rotated as MMBench does: row k's A is row k-1's last option.

    With fewer turns than options, the options beyond keep their place, as in 53 real questions.
    """
    turns = turns or len(options)
    moving, fixed = list(options[:turns]), list(options[turns:])
    rows = []
    for k in range(turns):
        turned = moving[turns - k :] + moving[: turns - k] + fixed
        row: dict[str, object] = dict(zip("ABCDEFGH", turned, strict=False))
        row |= {
            "index": group + k * 1_000_000,
            "question": f"What is {group}?",
            "answer": "ABCDEFGH"[turned.index(options[answer])],
            "category": "object_localization",
            "l2-category": l2,
            "image": picture("red") if k == 0 else str(group),
            "split": "dev",
        }
        rows.append(row | cells)
    return rows


def write_mmbench(path: Path, *questions: list[dict[str, object]]) -> Path:
    return write_tsv(path, [row for rows in questions for row in rows], MMBENCH_COLUMNS)
