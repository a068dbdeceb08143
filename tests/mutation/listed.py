"""The committed list of mutants that are equivalent to the code, keyed by what they change."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.base.errors import UserError

EQUIVALENT = Path(__file__).with_name("equivalent.toml")
Key = tuple[str, str]


@dataclass(frozen=True)
class Mutant:
    """A change of one function.

    Attributes:
        function: dotted path, `hybrid.merging.merge`.
        diff: lines that start with `- ` or `+ `, without their indentation: edits elsewhere in the
            file do not change it.
    """

    function: str
    diff: str

    @property
    def key(self) -> Key:
        """What it is found by in the list."""
        return self.function, self.diff

    def __str__(self) -> str:
        return f"{self.function}\n" + "\n".join(f"    {line}" for line in self.diff.splitlines())


def changed_lines(diff: str) -> str:
    """The changed lines of a unified diff, unindented; file headers left out."""
    lines = (line for line in diff.splitlines() if line[:1] in ("-", "+"))
    changed = (f"{line[0]} {line[1:].strip()}" for line in lines if line[:3] not in ("---", "+++"))
    return "\n".join(changed)


def load_equivalent(path: Path = EQUIVALENT) -> Mapping[Key, str]:
    """Reasons by key.

    Raises:
        UserError: if the file cannot be read, or an entry is not whole, or is there twice.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8")).get("mutant", [])
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{path}: not a readable TOML file ({error}); restore it") from error
    reasons: dict[Key, str] = {}
    for number, table in enumerate(tables, start=1):
        if set(table) != {"function", "diff", "reason"} or not all(table.values()):
            raise UserError(f"{path}: mutant {number} needs function, diff and reason")
        key = (table["function"], table["diff"].strip())
        if key in reasons:
            raise UserError(f"{path}: mutant {number} is there twice; delete one")
        reasons[key] = table["reason"]
    return reasons


def judge(survivors: Sequence[Mutant], reasons: Mapping[Key, str]) -> tuple[list[str], list[str]]:
    """What to mend: survivors that no entry explains, and entries that explain no survivor."""
    found = {mutant.key for mutant in survivors}
    unexplained = [str(mutant) for mutant in survivors if mutant.key not in reasons]
    stale = [str(Mutant(*key)) for key in reasons if key not in found]
    return unexplained, stale
