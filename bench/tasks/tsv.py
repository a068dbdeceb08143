"""Read a VLMEvalKit data file: tab-separated, minimal quoting, hints that span lines."""

import csv
import hashlib
from pathlib import Path

from bench.errors import UserError
from bench.tasks.images import resolve_pointers
from bench.tasks.table import Table, build_table

# An image is one cell of base64, far beyond csv's default limit of 128 KiB.
LARGEST_CELL = 2**31 - 1


def read_tsv(path: Path, *, md5: str | None = None) -> Table:
    """The rows of `path`, each image cell resolved to the base64 text it stands for.

    Args:
        md5: the checksum that the whole file must have.

    Raises:
        UserError: the file can't be read, has another checksum, or is no sound table.
    """
    if md5 is not None:
        check_md5(path, md5)
    csv.field_size_limit(LARGEST_CELL)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter="\t")
            header = next(reader, None)
            if header is None:
                raise UserError(f"{path}: is empty")
            numbered = ((reader.line_num, record) for record in reader if record)
            table = build_table(str(path), header, numbered)
    except OSError as err:
        raise UserError(f"{path}: {err.strerror or err}") from err
    except UnicodeDecodeError as err:
        raise UserError(f"{path}: not UTF-8 text (byte {err.start}: {err.reason})") from err
    except csv.Error as err:
        raise UserError(f"{path}: not a tab-separated file ({err})") from err
    return resolve_pointers(table) if "image" in table.columns else table


def check_md5(path: Path, md5: str) -> None:
    """Raises `UserError` unless the file exists and has this checksum."""
    try:
        with path.open("rb") as file:
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
