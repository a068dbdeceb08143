"""Where references are, and how one is read and written: a recipe in JSON beside rows in CSV."""

import csv
import hashlib
import io
import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, with_config

from bench.base.atomic import write_atomically
from bench.base.errors import UserError
from bench.base.reading import RECORDS, Unreadable, read_bytes, read_object
from bench.cost.spending import Budget
from bench.tasks.tables.spreadsheets import guarded, unguarded
from bench.tasks.tables.table import parse_index, shown
from bench.tasks.tables.tsv import LARGEST_CELL
from bench.tasks.task import Kind

SHIPPED = Path(__file__).parent
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a reference's rows hold for; the JSON beside the CSV.

    content: sha256 of the CSV, so that a damaged one is noticed. budget: that the run spent on a
    prompt, None if it did not record that.
    """

    kind: Kind
    source: str
    model: str
    data: str
    prompt: str
    content: str
    budget: Budget | None = None


def reference_folder(folder: Path | None = None) -> Path:
    """Where the user's references are: `folder`, else $VLM_HYBRID_REFERENCES, else ./references."""
    return folder or Path(os.environ.get("VLM_HYBRID_REFERENCES") or "references")


def reference_names(folder: Path | None = None) -> list[str]:
    """The shipped references, then the user's."""
    return [
        path.stem
        for place in (SHIPPED, reference_folder(folder))
        for path in sorted(place.glob("*.json"))
    ]


def read_files(
    name: str, folder: Path | None = None
) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """Recipe and rows of the reference `name`, shipped or in the user's folder.

    Raises:
        UserError: there is none, or its files are damaged.
    """
    known = reference_names(folder)
    if name not in known:
        raise UserError(f"no reference {name!r}: there are {', '.join(known)}")
    place = SHIPPED if (SHIPPED / f"{name}.json").is_file() else reference_folder(folder)
    recipe_file, rows_file = place / f"{name}.json", place / f"{name}.csv"
    try:
        recipe = read_object(recipe_file)
    except Unreadable as error:
        raise no_recipe(f"{recipe_file.name} {error.reason}, so it") from error
    content = read_bytes(rows_file, most=RECORDS, mend="add the run again")
    if hashlib.sha256(content).hexdigest() != recipe.get("content"):
        raise UserError(f"{rows_file} is not what {recipe_file.name} was written for; add it again")
    try:
        return recipe, _rows(content.decode())
    except (ValueError, csv.Error) as error:
        raise UserError(f"{rows_file}: no rows of a reference ({error}); add it again") from error


def _rows(text: str) -> list[dict[str, str]]:
    """The rows that `to_csv` wrote.

    Raises:
        ValueError, csv.Error: a row has cells too few or too many, or a quote is not closed.
    """
    csv.field_size_limit(LARGEST_CELL)
    header, *lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    return [dict(zip(header, map(unguarded, line), strict=True)) for line in lines]


def index_of(row: dict[str, str]) -> int:
    """Raises ValueError for a row without a whole number as its index."""
    index = parse_index(row["index"])
    if index is None:
        raise ValueError(f"the index {shown(row['index'])} is no whole number")
    return index


def no_rows(name: str, error: Exception) -> UserError:
    """What rows get that are not those of a reference."""
    return UserError(f"{name}.csv: no rows of a reference ({error}); add it again")


def no_recipe(file: str) -> UserError:
    """What a recipe gets whose fields are not those of its kind."""
    return UserError(
        f"{file} is not a reference's recipe; add the run again with python -m bench reference add"
    )


def to_csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """Rows as they are stored."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([guarded(cell) for cell in row] for row in rows)
    return out.getvalue().encode()


def write_files(name: str, folder: Path, recipe: Recipe, content: bytes) -> Path:
    """Write a new reference into `folder`; returns the path of its CSV.

    Raises:
        UserError: the name is taken or is no file name, or the files can't be written.
    """
    if not NAME.fullmatch(name):
        raise UserError(f"{name!r} can't name a reference: use letters, digits, '.', '_' and '-'")
    for place in (SHIPPED, folder):
        if (place / f"{name}.json").exists():
            raise UserError(f"a reference {name} exists in {place}: give another --name")
    path = folder / f"{name}.csv"
    write_atomically(path, content)
    said = {name: value for name, value in asdict(recipe).items() if value is not None}
    document = json.dumps(said, indent=2) + "\n"
    write_atomically(folder / f"{name}.json", document.encode())
    return path
