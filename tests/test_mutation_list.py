"""Equivalent mutants: nothing survives unexplained, and no entry outlives its mutant."""

from pathlib import Path

import pytest

from bench.base.errors import UserError
from tests.mutation.listed import Mutant, changed_lines, judge, load_equivalent

DIFF = """--- hybrid/merging.py
+++ hybrid/merging.py
@@ -1,2 +1,2 @@
     def f(x):
-        return x + 1
+        return x - 1
"""
LINES = "- return x + 1\n+ return x - 1"
MUTANT = Mutant("hybrid.merging.f", LINES)
ENTRY = f'[[mutant]]\nfunction = "hybrid.merging.f"\ndiff = """\n{LINES}\n"""\nreason = "because"\n'


def test_a_mutant_is_named_by_the_lines_it_changes_wherever_they_stand() -> None:
    assert changed_lines(DIFF) == changed_lines(DIFF.replace("    ", "        ")) == LINES


def test_a_survivor_is_explained_by_its_entry_and_by_no_other(tmp_path: Path) -> None:
    path = tmp_path / "equivalent.toml"
    path.write_text(ENTRY, encoding="utf-8")
    reasons = load_equivalent(path)
    assert judge([MUTANT], reasons) == ([], [])
    other = Mutant("hybrid.merging.g", LINES)
    unexplained, stale = judge([other], reasons)
    assert (unexplained, stale) == ([str(other)], [str(MUTANT)])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ENTRY.replace('reason = "because"\n', ""), "mutant 1 needs function, diff and reason"),
        (ENTRY.replace("because", ""), "mutant 1 needs function, diff and reason"),
        (ENTRY + ENTRY, "mutant 2 is there twice"),
        ("[[mutant", "not a readable TOML file"),
    ],
)
def test_a_broken_list_is_one_line_that_names_the_entry(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "equivalent.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        load_equivalent(path)


def test_the_committed_list_is_well_formed() -> None:
    assert all(load_equivalent().values())
