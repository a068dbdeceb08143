"""Of a user's own method only the file itself is a part of a run, not what it imports."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.arms.own_files:files_of",
    old="    left = [(content, within)]\n",
    new="    left: list[tuple[bytes, str]] = []\n",
    source=MADE,
    expected=("harness",),
)
