"""Read and write the `.xlsx` prediction files that VLMEvalKit reads and writes."""

import io
import re
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from bench.base.atomic import write_atomically
from bench.base.errors import UserError
from bench.base.reading import RECORDS, read_bytes
from bench.tasks.tables.table import Table, build_table

LONGEST_CELL = 32767  # Excel's limit; openpyxl would cut the rest off without a word
MOST_ROWS = 1_048_576  # Excel's limit
MOST_COLUMNS = 16_384  # Excel's limit
MOST_CELLS = 10_000_000
MOST_BYTES = 1 << 30  # unpacked; a zip can hold a thousandfold of its own size
# Characters XML can't hold stand as _xHHHH_ in a workbook; text that looks so gets _x005F first.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")
_ESCAPED = re.compile("_x([0-9A-Fa-f]{4})_")


def read_xlsx(path: Path) -> Table:
    """The rows of the first sheet, every cell as text.

    Numbers come out as they stand in the file ("1", "1.5"). Texts such as "None" and "NA" stay,
    where pandas would drop them.

    Raises:
        UserError: the file can't be read or is no sound table.
    """
    # Here, not above: what reads and writes no workbook runs where openpyxl is not installed.
    from openpyxl import load_workbook

    content = read_bytes(path, most=RECORDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # remarks on styles and unused parts
            _demand_size(path, content)
            workbook = load_workbook(io.BytesIO(content), read_only=True)
            sheet = workbook[workbook.sheetnames[0]]
            sheet.reset_dimensions()  # the size a file states for itself may be wrong
            lines = _lines(path, sheet.iter_rows(values_only=True))
    except UserError:
        raise
    except Exception as err:  # zipfile, xml and openpyxl raise a dozen types on damaged files
        reason = " ".join(str(err).split()) or type(err).__name__
        raise UserError(f"{path}: not a readable .xlsx workbook ({reason})") from err
    if not lines:
        raise UserError(f"{path}: is empty")
    _, header = lines[0]
    while header and header[-1] is None:
        header.pop()
    return build_table(str(path), header, _aligned(lines, len(header)))


def _demand_size(path: Path, content: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        size = sum(part.file_size for part in packed.infolist())
    if size > MOST_BYTES:
        raise UserError(f"{path}: unpacks to {size:,} bytes, more than the {MOST_BYTES:,} allowed")


def _lines(path: Path, rows: Iterable[tuple[object, ...]]) -> list[tuple[int, list[str | None]]]:
    """The rows that hold something, and their numbers.

    Raises:
        UserError: a few bytes say that a row or column lies far out, and all before are empty.
    """
    lines, cells = [], 0
    for number, row in enumerate(rows, start=1):
        cells += len(row)
        if number > MOST_ROWS or cells > MOST_CELLS:
            raise UserError(
                f"{path}: has a cell beyond row {MOST_ROWS} or more than {MOST_CELLS:,} cells; a"
                " row or column number in it is wrong, write it anew"
            )
        line = [_text(value) for value in row]
        if any(line):
            lines.append((number, line))
    return lines


def _aligned(
    lines: list[tuple[int, list[str | None]]], width: int
) -> Iterator[tuple[int, list[str | None]]]:
    """Data rows, padded to the header's width: a sheet doesn't store trailing empty cells."""
    for number, line in lines[1:]:
        beyond = [cell for cell in line[width:] if cell]
        yield number, [*line[:width], *[None] * (width - len(line)), *beyond]


def _text(value: object) -> str | None:
    if value is None:
        return None
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), str(value))


def write_xlsx(path: Path, table: Table, predictions: Mapping[int, str]) -> None:
    """Writes `table` plus a last column `prediction`, one sheet, texts as texts.

    Raises:
        UserError: a text is longer than a cell can hold, or the file can't be written.
    """
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell

    columns = [*table.columns, "prediction"]
    lines: dict[int, list[str]] = {}
    for index, row in table.rows.items():
        full = {**row, "prediction": predictions[index]}
        lines[index] = [_cell_text(path, index, name, full.get(name, "")) for name in columns]
    workbook = Workbook(write_only=True)
    sheet = workbook.create_sheet("Sheet1")

    def as_texts(texts: Iterable[str]) -> Iterator[object]:
        for text in texts:
            cell = WriteOnlyCell(sheet, text or None)
            if text:
                cell.data_type = "s"  # else "=..." would become a formula
            yield cell

    sheet.append(["index", *as_texts(columns)])
    for index, texts in lines.items():
        sheet.append([index, *as_texts(texts)])
    content = io.BytesIO()
    workbook.save(content)
    write_atomically(path, content.getvalue())


def unfit(table: Table, predictions: Mapping[int, str]) -> dict[str | None, str]:
    """Column -> why it can't be in a workbook; None stands for the whole of it."""
    if len(table.rows) + 1 > MOST_ROWS or len(table.columns) + 2 > MOST_COLUMNS:
        return {None: f"an .xlsx sheet holds {MOST_ROWS:,} rows and {MOST_COLUMNS:,} columns"}
    found: dict[str | None, str] = {}
    for column in table.columns:
        if len(_escaped(column)) > LONGEST_CELL:
            found[column] = f"its name is longer than the {LONGEST_CELL} characters of a cell"
    for index, row in table.rows.items():
        for column, text in (*row.items(), ("prediction", predictions[index])):
            if column not in found and (length := len(_escaped(text))) > LONGEST_CELL:
                found[column] = (
                    f"in the row with index {index} it has {length} characters, an .xlsx cell holds"
                    f" {LONGEST_CELL}"
                )
    return found


def _escaped(text: str) -> str:
    return _UNSAFE.sub(lambda match: f"_x{ord(match[0]):04X}_", text)


def _cell_text(path: Path, index: int, column: str, text: str) -> str:
    escaped = _escaped(text)
    if len(escaped) > LONGEST_CELL:
        raise UserError(
            f"{path}: index {index}: {column} has {len(escaped)} characters, an .xlsx cell holds"
            f" {LONGEST_CELL}; lower max_new_tokens or use the .jsonl file"
        )
    return escaped
