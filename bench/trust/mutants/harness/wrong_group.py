"""Rows are grouped by another number than the rotations' step."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.tasks.mmbench:MMBench.group_key",
    old="index % ROTATION",
    new="index % (ROTATION * 10)",
    source=MADE,
    expected=("harness",),
)
