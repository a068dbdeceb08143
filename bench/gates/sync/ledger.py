"""The waits that are allowed: a committed list of where, how often and why.

A wait that is not in the list fails, one that happens more often fails, and so does an entry that
nothing, or less, matches any more. Entries name the source line by its text, not by its number or
its comment, so that an edit elsewhere in the file does not make them stale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from bench.base.errors import UserError
from bench.base.reading import Unreadable, read_toml
from bench.syncs.report import Finding, Report

LEDGER = Path(__file__).with_name("ledger.toml")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An allowed wait. `scenario` names the watched run, `code` is the source line, stripped."""

    scenario: str
    file: str
    function: str
    operator: str
    code: str
    count: int
    reason: str

    @property
    def key(self) -> tuple[str, str, str, str]:
        return (self.file, self.function, self.operator, _without_comment(self.code))


def _key(finding: Finding) -> tuple[str, str, str, str]:
    site = finding.site
    return (site.file, site.function, finding.operator, _without_comment(site.source))


def _without_comment(line: str) -> str:
    return line.partition("  #")[0]


def load_ledger(path: Path = LEDGER) -> tuple[Entry, ...]:
    """Read `[[wait]]` tables.

    Raises:
        UserError: the file cannot be read, or an entry lacks a field, has one too many, has a
            count below 1, gives no reason, or is there twice.
    """
    try:
        tables = read_toml(path)
    except Unreadable as error:
        reason = f"{path}: not a readable TOML file (it {error.reason}); restore it"
        raise UserError(reason) from error
    rows = tables.get("wait", [])
    if set(tables) - {"wait"} or not isinstance(rows, list):
        raise UserError(f"{path}: holds {sorted(tables)}, but only [[wait]] entries are known")
    entries = tuple(_entry(path, number, row) for number, row in enumerate(rows, start=1))
    seen: set[tuple[str, ...]] = set()
    for number, entry in enumerate(entries, start=1):
        if (entry.scenario, *entry.key) in seen:
            raise UserError(f"{path}: wait {number} is there twice; add up the counts")
        seen.add((entry.scenario, *entry.key))
    return entries


def _entry(path: Path, number: int, row: Any) -> Entry:
    if not isinstance(row, dict):
        raise UserError(f"{path}: wait {number} is no [[wait]] table; write one, or delete it")
    types = {field.name: int if field.name == "count" else str for field in fields(Entry)}
    for name in sorted(types.keys() | row.keys()):
        if name not in types or name not in row:
            problem = "is missing" if name in types else "is not a known field"
            raise UserError(f"{path}: wait {number}: {name} {problem}; it needs {', '.join(types)}")
        if type(row[name]) is not types[name] or not row[name]:
            raise UserError(f"{path}: wait {number}: {name} = {row[name]!r}; give a proper value")
    if row["count"] < 1:
        raise UserError(f"{path}: wait {number}: count = {row['count']}; delete the entry instead")
    return Entry(**row)


def compare(scenario: str, report: Report, ledger: Sequence[Entry]) -> tuple[str, ...]:
    """What the run and the ledger disagree about, one line each; empty if they agree."""
    allowed = {entry.key: entry for entry in ledger if entry.scenario == scenario}
    problems = []
    counts: dict[tuple[str, str, str, str], int] = {}
    for finding in report.findings:  # the same text may stand on several lines of a function
        counts[_key(finding)] = counts.get(_key(finding), 0) + finding.count
    reported: set[tuple[str, str, str, str]] = set()
    for finding in report.findings:
        key = _key(finding)
        entry, count = allowed.get(key), counts[key]
        if key in reported or (entry is not None and entry.count == count):
            continue
        reported.add(key)
        line = f"{finding.site} {finding.operator} x{count}: {finding.site.source}"
        if entry is None:
            problems.append(f"new: {line}")
        elif count > entry.count:
            problems.append(f"more: {line} (ledger: {entry.count})")
        else:
            problems.append(f"stale: {line} (ledger: {entry.count}; lower it)")
    problems += [
        f"stale: {entry.file} {entry.operator}: {entry.code} (did not wait; delete the entry)"
        for entry in allowed.values()
        if entry.key not in counts
    ]
    return tuple(problems)
