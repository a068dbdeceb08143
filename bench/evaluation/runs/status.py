"""What is in a folder of runs: how far each is, how fast, and what it runs."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from bench.base.errors import UserError
from bench.base.reading import RECORDS, Unreadable, read_bytes
from bench.base.strict_json import parse
from bench.evaluation.runs.identity import checked_document
from bench.evaluation.runs.predictions import FILE, RANK_FILES
from bench.tasks.answers import is_whole

SAME_S = 2.0  # between noting the time and writing the file; some file systems count by twos


@dataclass(frozen=True, kw_only=True)
class RunStatus:
    """One run. `rate` is in answers a second since it was last started.

    Attributes:
        folder: of the run.
        model: its name.
        data: the data set's name.
        config: what is reduced, as `name value`.
        answered: lines completely written, by all ranks.
        samples: how many it takes.
        rate: None if nothing was answered since, or the times are a copy's.
        last_write: of an answer; None before the first, and if the times are a copy's.
        scored: whether there is a score.
    """

    folder: Path
    model: str
    data: str
    config: str
    answered: int
    samples: int
    rate: float | None
    last_write: datetime | None
    scored: bool

    @property
    def complete(self) -> bool:
        return self.answered == self.samples

    def text(self) -> str:
        """Some lines for a terminal."""
        rate = "-" if self.rate is None else f"{self.rate:.1f}/s since its last start"
        last = "never" if self.answered == 0 else "at a time that the files do not tell"
        if self.last_write is not None:
            last = self.last_write.isoformat(" ", "seconds")
        state = "not complete: continue with --reuse"
        if self.complete:
            state = "complete" if self.scored else "answered, not scored: run with --mode eval"
        return (
            f"{self.folder}\n  {self.model} on {self.data}: {self.answered} of {self.samples}, "
            f"{state}\n  last answer {last}, {rate}\n  {self.config}"
        )


def find_runs(folder: Path) -> list[RunStatus]:
    """The run that `folder` is, or the runs in this work dir, by path.

    Raises:
        UserError: it is neither, or a run.json is damaged.
    """
    if os.path.lexists(folder / "run.json"):
        return [read_status(folder)]
    found = sorted(path.parent for path in folder.glob("*/*/run.json"))
    if not found:
        raise UserError(f"{folder} is neither a run nor a work dir: no run.json in it or in */*/")
    return [read_status(path) for path in found]


def read_status(folder: Path) -> RunStatus:
    """Reads files only: a run that goes on meanwhile is not disturbed."""
    path = folder / "run.json"
    try:
        document = checked_document(path)
        model, data = document["model"], document["data"]["name"]
        samples, before = document["samples"], document["answered_before"]
        config = ", ".join(f"{name} {value}" for name, value in document["config"].items())
    except (Unreadable, KeyError) as error:
        why = error.reason if isinstance(error, Unreadable) else f"holds no {error}"
        raise UserError(
            f"{path} is damaged, or of an older version (it {why}): run again"
        ) from error
    files = [file for file in (folder / FILE, *folder.glob(RANK_FILES)) if os.path.lexists(file)]
    answered = len({index for file in files for index in _indices(file)})
    started = _started(path, document)
    written = max((file.stat().st_mtime for file in files if file.stat().st_size), default=None)
    if started is None:
        written = None
    spent = 0.0 if written is None or started is None else written - started
    return RunStatus(
        folder=folder,
        model=model,
        data=data,
        config=config,
        answered=answered,
        samples=samples,
        rate=(answered - before) / spent if answered > before and spent > 0 else None,
        last_write=None if written is None else datetime.fromtimestamp(written).astimezone(),
        scored=(folder / "scores.json").is_file(),
    )


def _started(path: Path, document: Mapping[str, Any]) -> float | None:
    """When the run was last started; None where it is not known, or the files' own times are not
    those of the run: a copy has later ones, unless it keeps them."""
    noted = document.get("started")
    if noted is None:
        return None
    return float(noted) if abs(path.stat().st_mtime - noted) < SAME_S else None


def _indices(file: Path) -> list[int]:
    """Of the lines that are complete; the last one may be in the middle of being written."""
    lines = read_bytes(file, most=RECORDS).split(b"\n")[:-1]
    try:
        return [_whole(parse(text)["index"]) for text in lines]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file} holds a damaged line: run with --reuse to see which") from error


def _whole(value: Any) -> int:
    if not is_whole(value):
        raise TypeError(f"{value!r} is no whole number")
    return int(value)
