"""`history.jsonl`: a line a report, appended and never rewritten.

A process that was killed while writing leaves half a line at the end. It is left out, which is
said, and the next `add` cuts it off; damage anywhere else is an error.
"""

import fcntl
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from bench.base.checkout import git
from bench.base.errors import UserError
from bench.base.reading import RECORDS, Unreadable, read_bytes, read_json
from bench.base.shapes import Number, checked
from bench.base.strict_json import parse
from bench.base.verdict import Outcome
from bench.cost.spending import Budgets, budgets_in, budgets_json
from bench.report.origin import Origin, parse_origin

VARIABLE = "VLM_HYBRID_HISTORY"
DEFAULT = Path("outputs/history.jsonl")


@dataclass(frozen=True)
class Judged:
    """What of a verdict is used here; it holds more."""

    gate: str
    outcome: Outcome
    numbers: Mapping[str, Number | str | None]


SHAPE = TypeAdapter(Annotated[list[Judged], Field(min_length=1)])
TITLE = TypeAdapter(str)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One report.

    Attributes:
        verdicts: as `bench.report.cells.as_json` wrote them.
        budgets: what each arm spent, empty for a gate without arms; None if that was not recorded.
    """

    title: str
    origin: Origin
    verdicts: tuple[Mapping[str, Any], ...]
    budgets: Budgets | None = None

    @property
    def green(self) -> bool:
        return all(verdict["outcome"] == Outcome.PASS for verdict in self.verdicts)

    def line(self) -> bytes:
        document: dict[str, Any] = {
            "title": self.title,
            "origin": asdict(self.origin),
            "verdicts": [dict(verdict) for verdict in self.verdicts],
        }
        if self.budgets is not None:
            document["budgets"] = budgets_json(self.budgets)
        return f"{json.dumps(document, allow_nan=False)}\n".encode()


@dataclass(frozen=True)
class History:
    """Entries in the order in which they were added; torn: whether half a line was left out."""

    entries: tuple[Entry, ...]
    torn: bool = False


def history_file(argument: Path | None = None) -> Path:
    """The argument, else $VLM_HYBRID_HISTORY, else outputs/history.jsonl."""
    return argument or Path(os.environ.get(VARIABLE) or DEFAULT)


def read_history(path: Path) -> History:
    """Raises UserError if the file can't be read, or a whole line of it is damaged."""
    try:
        content = read_bytes(path, most=RECORDS, mend="can't be read as a history, give another")
    except Unreadable as error:
        if not error.missing:
            raise
        raise UserError(
            f"no history at {path}: measure a gate, then add it by python -m bench history add"
            " outputs"
        ) from None
    whole = content[: content.rfind(b"\n") + 1]
    entries = [
        _entry(line, f"{path}: line {number}")
        for number, line in enumerate(whole.splitlines(), start=1)
    ]
    return History(tuple(entries), torn=len(whole) < len(content))


def read_report(folder: Path) -> list[Entry]:
    """What `bench.report.write_report` left in a folder, one entry a gate.

    Raises UserError if there is nothing, or if it is damaged or does not say where it is from.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder: give the --work-dir of a gate that was measured")
    paths = sorted(folder.glob("*-verdicts.json"))
    if not paths:
        raise UserError(f"{folder} holds no report: measure a gate with --work-dir {folder} first")
    return [_reported(path) for path in paths]


def read_entry(folder: Path, title: str) -> Entry:
    """One gate's report in a folder. Raises UserError as `read_report` does."""
    return _reported(folder / f"{title}-verdicts.json")


def append(path: Path, entry: Entry) -> bool:
    """Whether it was added: a report that is there already is not added again.

    Raises UserError if the file is damaged or can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            history = read_history(path)
            if entry in history.entries:
                return False
            if history.torn:
                content = read_bytes(path, most=RECORDS)
                file.truncate(content.rfind(b"\n") + 1)
            file.write(entry.line())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise UserError(f"{path}: can't be written: {error.strerror}") from error
    return True


def last_green(path: Path, title: str, here: Origin) -> str | None:
    """The newest commit that was green on this machine with these settings, and that the commit
    here descends from. None if the history knows none, or is not there."""
    if not path.is_file():
        return None
    for entry in reversed(read_history(path).entries):
        origin = entry.origin
        known = origin.commit is not None and origin.commit != here.commit and not origin.dirty
        alike = entry.title == title and origin.machine == here.machine
        if known and alike and origin.settings == here.settings and entry.green:
            before = git("merge-base", "--is-ancestor", str(origin.commit), str(here.commit))
            if before is not None:
                return origin.commit
    return None


def _reported(path: Path) -> Entry:
    title = path.name.removesuffix("-verdicts.json")
    beside = path.with_name(f"{title}-origin.json")
    verdicts, origin = (read_json(file, mend="measure the gate again") for file in (path, beside))
    spent: dict[str, Any] = {}
    if isinstance(origin, dict) and "budgets" in origin:
        spent = {"budgets": origin.pop("budgets")}
    return _checked(title, origin, verdicts, spent, str(path))


def _entry(line: bytes, source: str) -> Entry:
    try:
        document = parse(line)
        title, origin, verdicts = (document[key] for key in ("title", "origin", "verdicts"))
        checked(TITLE, title)
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{source} is damaged ({error}); delete that line") from None
    return _checked(title, origin, verdicts, document, source)


def _checked(
    title: str, origin: Any, verdicts: Any, spent: Mapping[str, Any], source: str
) -> Entry:
    """spent: holds the budgets, if they were recorded."""
    try:
        checked(SHAPE, verdicts)
    except ValueError as error:
        raise UserError(f"{source}: holds no verdicts ({error}); measure again") from None
    try:
        budgets = budgets_in(spent)
    except ValueError as error:
        raise UserError(f"{source}: holds no budgets ({error}); measure again") from None
    return Entry(
        title=title,
        origin=parse_origin(origin, source),
        verdicts=tuple(verdicts),
        budgets=budgets,
    )
