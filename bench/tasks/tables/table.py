"""A data set or prediction file as rows of text, keyed by sample index.

Whatever the file format, what makes a table unusable is decided here, once: columns named twice,
rows of the wrong width, indices that are no number or appear twice, no rows at all.
"""

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.base.errors import UserError

INTEGER = re.compile(r"\s*([0-9]{1,18})(\.0)?\s*")
# Data sets in circulation spell this column both ways.
COLUMN_SPELLINGS = {"L2-category": "l2-category"}
# Where other harnesses keep all options of a question; VLMEvalKit has a column for each.
ALL_OPTIONS = frozenset(("options", "choices", "option", "choice", "candidates"))

Row = Mapping[str, str]


def shown(value: object, width: int = 60) -> str:
    """`value` as one short line for an error message."""
    text = repr(value)
    return text if len(text) <= width else text[: width - 3] + "..."


@dataclass(frozen=True)
class Table:
    """Rows in file order; a cell that was empty in the file is absent from its row.

    Only truly empty cells are absent: the texts "None", "NA" and "nan" are texts, since they
    occur as answer options.
    """

    source: str
    columns: tuple[str, ...]
    rows: Mapping[int, Row]

    def error(self, message: str, index: int | None = None) -> UserError:
        where = self.source if index is None else f"{self.source}: row with index {index}"
        return UserError(f"{where}: {message}")

    def require(self, *columns: str) -> None:
        """Raises `UserError` unless all of `columns` exist."""
        missing = [column for column in columns if column not in self.columns]
        if missing:
            raise self.error(f"no column {', '.join(missing)}; {self.columns_shown()}")

    def columns_shown(self) -> str:
        return f"the columns are {shown(', '.join(self.columns), 200)}"

    def cell(self, index: int, column: str) -> str:
        """The cell's text; `UserError` if it is empty."""
        value = self.rows[index].get(column)
        if value is None:
            raise self.error(f"the {column} cell is empty; fill it or remove the row", index)
        return value

    def without(self, *columns: str) -> "Table":
        kept = tuple(column for column in self.columns if column not in columns)
        rows = {
            index: {column: text for column, text in row.items() if column in kept}
            for index, row in self.rows.items()
        }
        return Table(self.source, kept, rows)

    def select(self, indices: Collection[int]) -> "Table":
        wanted = frozenset(indices)
        rows = {index: row for index, row in self.rows.items() if index in wanted}
        return Table(self.source, self.columns, rows)

    def sha256(self) -> str:
        """Hash of indices and cells, whatever the file's quoting, column order or line ends."""
        digests: dict[str, str] = {}  # an image's text is long and shared between rows
        total = hashlib.sha256()
        for index, row in self.rows.items():
            cells = dict(sorted(row.items()))
            image = cells.get("image")
            if image is not None:
                if image not in digests:
                    digests[image] = hashlib.sha256(image.encode()).hexdigest()
                cells["image"] = digests[image]
            total.update(json.dumps([index, cells]).encode())
        return total.hexdigest()


def parse_index(text: str) -> int | None:
    """`"241"`, `" 241 "` and `"241.0"` are 241; anything else is None."""
    match = INTEGER.fullmatch(text)
    return int(match[1]) if match else None


def build_table(
    source: str, header: Sequence[str | None], lines: Iterable[tuple[int, Sequence[str | None]]]
) -> Table:
    """Checks the header and each `(line number, cells)` and keys the rows by their index.

    Raises:
        UserError: as the module says.
    """
    columns: list[str] = []
    for cell in header:
        name = COLUMN_SPELLINGS.get(cell or "", cell or "")
        if name in columns:
            raise UserError(f"{source}: column {shown(name)} appears twice in the header")
        columns.append(name)
    if "index" not in columns:
        raise UserError(
            f"{source}: no column index; the header reads {shown(', '.join(columns), 200)}"
        )
    rows: dict[int, Row] = {}
    for number, cells in lines:
        if len(cells) != len(columns):
            raise UserError(
                f"{source}: line {number} has {len(cells)} cells where the header has"
                f" {len(columns)}; the file is cut off or a quote is not closed"
            )
        row = {column: cell for column, cell in zip(columns, cells, strict=True) if cell}
        text = row.pop("index", "")
        index = parse_index(text)
        if index is None:
            raise UserError(f"{source}: line {number}: index {shown(text)} is not a whole number")
        if index in rows:
            raise UserError(
                f"{source}: line {number}: index {index} is there twice; remove one of the rows"
            )
        rows[index] = row
    if not rows:
        raise UserError(f"{source}: holds no rows, only a header")
    return Table(source, tuple(column for column in columns if column != "index"), rows)
