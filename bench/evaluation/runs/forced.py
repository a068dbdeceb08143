"""`forced.jsonl`: how many merges a schedule forced on each sample's image.

Beside `predictions.jsonl`, as margins are, and only where the arm has a schedule. A sample without
a line in it was not counted.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from bench.evaluation.runs.predictions import join_parts, read_parts
from bench.tasks.answers import is_whole

FILE = "forced.jsonl"
RANK_FILES = "forced.rank-*.jsonl"


def line(index: int, merges: int) -> str:
    return json.dumps({"index": index, "forced": merges}) + "\n"


def read_forced(folder: Path, known: Collection[int], *, repair: bool = False) -> dict[int, int]:
    """What is counted in all files of a run: sample -> merges. Of two lines for a sample the later
    one holds, as of margins.

    Raises:
        UserError: for a damaged line before the last one.
    """
    lost = "its sample is then not counted"
    return read_parts(folder / FILE, RANK_FILES, _counted, known, lost=lost, repair=repair)


def _counted(row: Any) -> tuple[int, int]:
    index, merges = row["index"], row["forced"]
    if not is_whole(merges) or merges < 0:
        raise TypeError("merges are a whole number")
    return index, merges


def merge(folder: Path, order: Iterable[int]) -> None:
    """Write what is counted into one file, in the order of the data; drop the ranks' files, and
    files that hold nothing."""
    indices = list(order)
    forced = read_forced(folder, set(indices))
    content = "".join(line(index, forced[index]) for index in indices if index in forced)
    join_parts(folder / FILE, RANK_FILES, content)


def said(forced: Mapping[int, int], model: str, data: str) -> str:
    """For whoever reads the end of a run; empty if nothing was counted."""
    if not forced:
        return ""
    beyond = [merges for merges in forced.values() if merges]
    most = f", {max(beyond)} on one of them" if beyond else ""
    return (
        f"{model}'s schedule forced merges on the images of {len(beyond)} of {len(forced)} samples"
        f" of {data} ({len(beyond) / len(forced):.1%}){most}"
    )
