"""Where a run lies, `<work-dir>/<model>/<data>`, and what becomes of a run that lay there."""

import os
from itertools import count
from pathlib import Path

from bench.base.errors import UserError

LONGEST_NAMES = 200  # bytes of both in one file's name, of the 255 that file systems allow


def run_folder(work_dir: Path, model: str, data: str) -> Path:
    """The folder of a run, made of names that can't lead out of it; it need not exist.

    Raises:
        UserError: a name that is none, such as `..`, or both are too long.
    """
    for what, name in (("model", model), ("data", data)):
        _demand_plain(what, name)
    if len(os.fsencode(f"{model}_{data}")) > LONGEST_NAMES:
        raise UserError(
            f"model {model} and data {data} make names of more than {LONGEST_NAMES} bytes:"
            " rename the file"
        )
    return work_dir / model / data


def sheet_in(folder: Path) -> Path | None:
    """VLMEvalKit's sheet of a run; None if its answers are there, and do not fit in a sheet or are
    not scored yet.

    Raises:
        UserError: there are several, or neither a sheet nor answers.
    """
    sheets = sorted(folder.glob("[!.~]*.xlsx"))
    if len(sheets) > 1:
        raise UserError(f"{folder} holds {len(sheets)} .xlsx files, a run has one: give the file")
    if sheets:
        return sheets[0]
    if not (folder / "predictions.jsonl").is_file():
        raise UserError(
            f"{folder} holds neither a .xlsx nor predictions.jsonl: give a finished run's folder"
        )
    return None


def _demand_plain(what: str, name: str) -> None:
    """Folders beginning with a dot are the locks' and editors'; with a dash, options to tools."""
    plain = name == name.strip() and name.isprintable() and not set(name) & {"/", "\\"}
    if not name or not plain or name[0] in ".-":
        raise UserError(
            f"the {what}'s name is {name!r}, which can't be a folder's: it must be printable,"
            " begin with neither dot nor dash, and hold no slash; rename the file or folder"
        )


def set_aside(folder: Path) -> Path:
    """Rename a run's folder to the first `.previous`, `.previous-2`, .. that is free: what was
    there is kept until the user removes it. Returns its new path."""
    for number in count(1):
        kept = folder.with_name(f"{folder.name}.previous" + (f"-{number}" if number > 1 else ""))
        if not os.path.lexists(kept):
            folder.rename(kept)
            return kept
    raise AssertionError("numbers end")
