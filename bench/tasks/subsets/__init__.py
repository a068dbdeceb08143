"""Subsets of the data by index: files of one question or image a line, and two that ship.

`python -m bench.tasks.subsets MMBENCH_XLSX COCO_XLSX` makes the shipped ones again.
"""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.base.errors import UserError
from bench.base.reading import Unreadable, read_utf8

FOLDER = Path(__file__).parent
SEED = 42


def names() -> list[str]:
    """Subsets that ship with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.txt"))


def load_subset(name: str) -> tuple[int, ...]:
    """The indices in a shipped subset, or in any file: one a line, `#` starts a comment.

    Raises:
        UserError: there is no such file, it names nothing, or a line is no index or comes twice.
    """
    path = FOLDER / f"{name}.txt" if name in names() else Path(name)
    try:
        lines = read_utf8(path, mend="give a text file of indices, one a line").splitlines()
    except Unreadable as error:
        if not error.missing:
            raise
        raise UserError(
            f"no subset {name!r}: give {' or '.join(names())}, or a file with one question or image"
            " index a line"
        ) from error
    seen: dict[int, int] = {}
    for number, line in enumerate(lines, start=1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        if not (text.isascii() and text.isdecimal() and len(text) <= 18):
            raise UserError(f"{path}: line {number}: {text[:60]!r} is not an index, as 241 is")
        index = int(text)
        if index in seen:
            raise UserError(f"{path}: line {number}: index {index} stood on line {seen[index]}")
        seen[index] = number
    if not seen:
        raise UserError(f"{path}: names no index; one question or image index a line is needed")
    return tuple(seen)


def stratified(categories: Mapping[int, str], size: int, seed: int = SEED) -> list[int]:
    """`size` of the indices, each category by its share, rounded by largest remainders.

    Deterministic whatever order the indices come in; returns them sorted. Remainders that tie go
    to the category whose name comes first.
    """
    members: dict[str, list[int]] = {}
    for index in sorted(categories):
        members.setdefault(categories[index], []).append(index)
    order = sorted(members)
    exact = {name: size * len(members[name]) / len(categories) for name in order}
    counts = {name: int(exact[name]) for name in order}
    by_remainder = sorted(order, key=lambda name: counts[name] - exact[name])
    for name in by_remainder[: size - sum(counts.values())]:
        counts[name] += 1
    chosen = random.Random(seed)
    return sorted(i for name in order for i in chosen.sample(members[name], counts[name]))


def simple(indices: Sequence[int], size: int, seed: int = SEED) -> list[int]:
    """`size` of the indices, each as likely, whatever order they come in; returns them sorted."""
    return sorted(random.Random(seed).sample(sorted(indices), size))
