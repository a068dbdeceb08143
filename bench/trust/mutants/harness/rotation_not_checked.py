"""Rows that are no rotations of each other are taken for one question."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.tasks.mmbench:check_rotations",
    old="if Counter(item.options.values()) != Counter(main.options.values()):",
    new="if len(item.options) != len(main.options):",
    source=MADE,
    expected=("harness",),
)
