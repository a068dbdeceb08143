"""Starts a new mutant: a file to fill in, which does not apply until it is."""

import re
from pathlib import Path
from typing import get_args

from bench.base.errors import UserError
from bench.trust.mutants.families import Family
from bench.trust.mutants.mutant import folder_of

TEMPLATE = '''"""One line: what the defect does to an answer, a cost, a wait or a verdict."""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="hybrid.module:Class.method",
    old="the exact source that is replaced",
    new="the source of the defect",
    source="owner/repository, file or issue; or MADE from bench.trust.mutants.mutant",
    expected=("{gate}",),
)
'''
GATES: dict[Family, str] = {
    "model": "equivalence",
    "cost": "cost",
    "waits": "syncs",
    "harness": "harness",
}


def add_mutant(name: str) -> Path:
    """Write the file of a new mutant `family/name`.

    Raises:
        UserError: a name that is none, or is taken.
    """
    family = next((f for f in get_args(Family) if name.startswith(f"{f}/")), None)
    if family is None or not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name.partition("/")[2]):
        families = ", ".join(get_args(Family))
        raise UserError(
            f"--add {name}: give family/name-in-small-letters, the family one of {families}"
        )
    path = folder_of(family) / f"{name.partition('/')[2].replace('-', '_')}.py"
    if path.exists():
        raise UserError(f"--add {name}: {path} is there already; choose another name")
    path.write_text(TEMPLATE.format(gate=GATES[family]), encoding="utf-8")
    return path
