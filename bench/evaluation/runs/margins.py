"""`margins.jsonl`: how near the first tokens of each answer were to being other ones.

Beside `predictions.jsonl` and not in it: answers are the same however a run was batched, cut up
or interrupted, while logits agree only within rounding. A run without this file, or a sample
without a line in it, has margins that were not recorded.
"""

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.evaluation.runs.predictions import join_parts, read_parts
from bench.tasks.answers import is_whole

FILE = "margins.jsonl"
RANK_FILES = "margins.rank-*.jsonl"
TOKENS = 8  # recorded of an answer: a letter is read from the first few


@dataclass(frozen=True)
class Tops:
    """The first `TOKENS` tokens of an answer, its end token included.

    ids: what was chosen, the token of the largest logit.
    logits: for each the largest and the second largest logit.
    """

    ids: tuple[int, ...]
    logits: tuple[tuple[float, float], ...]


def line(index: int, tops: Tops) -> str:
    logits = [[round(top, 6), round(second, 6)] for top, second in tops.logits]
    return json.dumps({"index": index, "ids": tops.ids, "logits": logits}) + "\n"


def read_margins(folder: Path, known: Collection[int], *, repair: bool = False) -> dict[int, Tops]:
    """What is recorded in all files of a run. Of two lines for a sample the later one holds: a
    run that was killed between its margin and its answer has written both again.

    Raises:
        UserError: for a damaged line before the last one.
    """
    lost = "its margin is then not recorded"
    return read_parts(folder / FILE, RANK_FILES, _recorded, known, lost=lost, repair=repair)


def _recorded(row: Any) -> tuple[int, Tops]:
    pairs = tuple((float(top), float(second)) for top, second in row["logits"])
    tops = Tops(tuple(row["ids"]), pairs)
    if not all(map(is_whole, tops.ids)):
        raise TypeError("ids are whole numbers")
    return row["index"], tops


def merge(folder: Path, order: Iterable[int]) -> None:
    """Write what is recorded into one file, in the order of the data; drop the ranks' files, and
    files that hold nothing."""
    indices = list(order)
    margins = read_margins(folder, set(indices))
    content = "".join(line(index, margins[index]) for index in indices if index in margins)
    join_parts(folder / FILE, RANK_FILES, content)
