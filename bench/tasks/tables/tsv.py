"""Read a VLMEvalKit data file: tab-separated, minimal quoting, hints that span lines."""

import csv
import hashlib
import io
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from bench.base.errors import UserError
from bench.base.reading import opened
from bench.tasks.tables.images import resolve_pointers
from bench.tasks.tables.table import Table, build_table, shown

# An image is one cell of base64, far beyond csv's default limit of 128 KiB.
LARGEST_CELL = 2**31 - 1
LARGEST = 4_000_000_000  # bytes; the largest known data set has a fourth of that
LINE_END = re.compile("\r\n|\r|\n")  # those of a file, not all of Python's
HOW = (
    "write a cell that begins with a quotation mark as pandas does, in quotes and with its own"
    ' doubled ("""So?"" he said"): to_csv(path, sep="\\t", index=False)'
)


def read_tsv(path: Path, *, md5: str | None = None) -> Table:
    """The rows of `path`, each image cell resolved to the base64 text it stands for.

    Args:
        md5: the checksum that the whole file must have.

    Raises:
        UserError: the file can't be read, has another checksum, or is no sound table.
    """
    if md5 is not None:
        check_md5(path, md5)
    try:
        with (
            opened(path, most=LARGEST) as content,
            io.TextIOWrapper(content, encoding="utf-8-sig", newline="") as file,
        ):
            records = _records(path, file)
            _, header = next(records, (0, None))
            if header is None:
                raise UserError(f"{path}: is empty")
            table = build_table(str(path), header, _whole(path, records, len(header)))
    except OSError as err:
        raise UserError(f"{path}: {err.strerror or err}") from err
    except UnicodeDecodeError as err:
        raise UserError(f"{path}: not UTF-8 text (byte {err.start}: {err.reason})") from err
    return resolve_pointers(table) if "image" in table.columns else table


def _records(path: Path, lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """Each record that is not empty, and the number of the line that it begins in.

    Strict: what opens with a quotation mark must close with one in front of a tab or line end.
    Otherwise the reader goes on to the next mark, in whatever row that stands.
    """
    csv.field_size_limit(LARGEST_CELL)
    reader = csv.reader(_without_nul(path, lines), delimiter="\t", strict=True)
    while True:
        begins = reader.line_num + 1
        try:
            record = next(reader, None)
        except csv.Error as err:
            raise UserError(
                f"{path}: line {begins}: a cell opens with a quotation mark that is not closed"
                f" before a tab or line end (the reader got to line {reader.line_num}); {HOW}"
            ) from err
        if record is None:
            return
        if record:
            yield begins, record


def _without_nul(path: Path, lines: Iterable[str]) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        if "\0" in line:
            raise UserError(f"{path}: line {number}: holds a NUL byte; the file is damaged")
        yield line


def _whole(
    path: Path, records: Iterable[tuple[int, list[str]]], width: int
) -> Iterator[tuple[int, list[str]]]:
    """The records, none of which has swallowed rows: a mark that opens in one row may be closed
    by one at the same place of a later row, and the two halves make a record of the right width."""
    for begins, cells in records:
        for position, cell in enumerate(cells):
            lines = LINE_END.split(cell)
            if (
                len(lines) > 1
                and lines[0].count("\t") == width - 1 - position
                and lines[-1].count("\t") == position
            ):
                raise UserError(
                    f"{path}: line {begins}: the cell {shown(cell)} opens with a quotation mark"
                    f" that is closed in a later row only, so it holds the rows between; {HOW}"
                )
        yield begins, cells


def check_md5(path: Path, md5: str) -> None:
    """Raises `UserError` unless the file exists and has this checksum."""
    try:
        with opened(path, most=LARGEST) as file:
            found = hashlib.file_digest(
                file, lambda: hashlib.md5(usedforsecurity=False)
            ).hexdigest()
    except OSError as err:
        raise UserError(f"{path}: {err.strerror or err}") from err
    if found != md5:
        raise UserError(
            f"{path}: md5 is {found}, expected {md5}; the file is damaged or another version,"
            " get it again or give your own file by its path"
        )
