"""`predictions.jsonl`: a JSON line a sample; ranks write `predictions.rank-R.jsonl` beside it.

While a run goes on, lines stand in the order in which answers came; once it is complete, in that
of the data, all in one file, and `predictions.sha256` (as `sha256sum` writes it) seals it and what
stands beside it: margins, and forced merges.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO, TypeVar

from bench.base.atomic import write_atomically
from bench.base.errors import UserError
from bench.base.printable import printable
from bench.base.reading import RECORDS, Unreadable, read_bytes, read_utf8
from bench.base.strict_json import parse
from bench.tasks.answers import answer_in, is_whole
from bench.tasks.tables.table import shown

T = TypeVar("T")
FILE = "predictions.jsonl"
RANK_FILES = "predictions.rank-*.jsonl"
SEAL = "predictions.sha256"
SCORES = "scores.json"
SEALED = (FILE, "margins.jsonl", "forced.jsonl")
RESTORE = "restore it, or run again without --reuse"
MEND = "delete that line and run again with --reuse"


def read_predictions(path: Path, known: Collection[int], *, repair: bool = True) -> dict[int, str]:
    """The predictions that were completely written.

    Args:
        repair: cut a torn last line off the file; without it, the line is only left out.

    Raises:
        UserError: for a line that is not whole number and text, and unknown or repeated indices.
    """
    predictions: dict[int, str] = {}
    for number, line in enumerate(whole_lines(path, repair=repair), start=1):
        try:
            row = parse(line)
        except ValueError as error:
            raise UserError(
                f"{path}: line {number} is damaged ({printable(str(error))}); {MEND}"
            ) from error
        index, answer = answer_in(row)
        if index is None or answer is None:
            raise UserError(
                f"{path}: line {number} is damaged: it needs a whole number index and a text"
                f" prediction, and is {shown(row)}; {MEND}"
            )
        if index not in known:
            raise UserError(
                f"{path}: line {number} answers sample {index}, which is not in the data"
            )
        if index in predictions:
            raise UserError(f"{path}: line {number} answers sample {index} a second time")
        predictions[index] = answer
    return predictions


def whole_lines(path: Path, *, repair: bool) -> list[bytes]:
    """The lines of a file that were completely written; none if there is no file.

    repair: cut a torn last line off the file; without it, the line is only left out.

    Raises:
        Unreadable: it is no file, or too large.
    """
    try:
        content = read_bytes(path, most=RECORDS, mend=RESTORE)
    except Unreadable as error:
        if error.missing:
            return []
        raise
    whole = content[: content.rfind(b"\n") + 1]
    if repair and len(whole) < len(content):
        with path.open("r+b") as file:
            file.truncate(len(whole))
    return whole.splitlines()


def read_all(folder: Path, known: Collection[int], *, repair: bool) -> dict[int, str]:
    """The predictions in all files of a run, in no particular order.

    Raises:
        UserError: as `read_predictions`, and where two files answer a sample differently. Equal
            answers are what a merge that was killed leaves.
    """
    predictions: dict[int, str] = {}
    for path in (folder / FILE, *sorted(folder.glob(RANK_FILES))):
        for index, answer in read_predictions(path, known, repair=repair).items():
            if predictions.setdefault(index, answer) != answer:
                raise UserError(
                    f"{path}: answers sample {index} otherwise than another file of this run; "
                    "delete one of the two lines and run again with --reuse"
                )
    return predictions


def merge(folder: Path, predictions: Mapping[int, str], order: Iterable[int]) -> None:
    """Write all predictions into one file, in the order of the data; drop the ranks' files."""
    content = "".join(line(index, predictions[index]) for index in order).encode()
    path = folder / FILE
    if not path.is_file() or read_bytes(path, most=RECORDS) != content:
        write_atomically(path, content)
    for part in folder.glob(RANK_FILES):
        part.unlink()


def read_parts(
    path: Path,
    parts: str,
    value_of: Callable[[Any], tuple[int, T]],
    known: Collection[int],
    *,
    lost: str,
    repair: bool,
) -> dict[int, T]:
    """What `path` and all ranks' files beside it, named by the pattern `parts`, say of samples. Of
    two lines for a sample the later one holds; a line for another than the known is not heard.

    Args:
        value_of: sample and value of a row; raises one of ValueError, KeyError, TypeError and
            OverflowError for what is none.
        lost: what is then so of a sample whose line is deleted.

    Raises:
        UserError: for a damaged line before the last one.
    """
    found: dict[int, T] = {}
    for file in (path, *sorted(path.parent.glob(parts))):
        for number, text in enumerate(whole_lines(file, repair=repair), start=1):
            try:
                index, value = value_of(parse(text))
                if not is_whole(index):
                    raise TypeError("a sample's index is a whole number")
            except (ValueError, KeyError, TypeError, OverflowError) as error:
                raise UserError(
                    f"{file}: line {number} is damaged; delete that line, {lost}"
                ) from error
            if index in known:
                found[index] = value
    return found


def join_parts(path: Path, parts: str, content: str) -> None:
    """Write what all ranks' files beside `path`, named by the pattern `parts`, hold; drop them, and
    `path` if that is nothing."""
    if content:
        write_atomically(path, content.encode())
    else:
        path.unlink(missing_ok=True)
    for part in path.parent.glob(parts):
        part.unlink()


def seal(folder: Path) -> None:
    """Note what the complete run is: of each file that is read back, the sha256."""
    files = [name for name in SEALED if (folder / name).is_file()]
    listed = "".join(f"{_sha256(folder / name)}  {name}\n" for name in files)
    write_atomically(folder / SEAL, listed.encode())


def demand_sealed(folder: Path) -> None:
    """Raises `UserError` if files that were sealed are not what the run wrote, whole or in part.
    A run without a seal is not finished; it has no scores then, which are written after it."""
    path = folder / SEAL
    try:
        listed = read_utf8(path).splitlines()
    except Unreadable as error:
        if error.missing:
            scored = os.path.lexists(folder / SCORES)
            if scored and any(folder.glob("*.jsonl")):  # without answers nothing is taken over
                raise UserError(
                    f"{folder} holds {SCORES} and no {SEAL}, so its answers may not be what was"
                    " scored: restore it, or remove the folder, or run again without --reuse"
                ) from error
            return
        raise UserError(f"{path} is damaged (it {error.reason}): {RESTORE}") from error
    digests = {name: digest for digest, _, name in (text.partition("  ") for text in listed)}
    if not digests.keys() <= set(SEALED) or FILE not in digests:
        raise UserError(f"{path} is damaged: {RESTORE}")
    for name, digest in digests.items():
        file = folder / name
        if not file.is_file() or _sha256(file) != digest:
            raise UserError(
                f"{file} is not what the run wrote ({SEAL} says so): restore it, or remove the"
                " folder, or run again without --reuse"
            )


def _sha256(file: Path) -> str:
    return hashlib.sha256(read_bytes(file, most=RECORDS, mend=RESTORE)).hexdigest()


def line(index: int, answer: str) -> str:
    return json.dumps({"index": index, "prediction": answer}) + "\n"


@contextmanager
def appending(path: Path) -> Iterator[TextIO]:
    """The file, for one process at a time.

    Raises:
        UserError: if another process has it.
    """
    with path.open("a", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                f"{path}: another process is writing this run; wait for it or stop it"
            ) from error
        yield file
