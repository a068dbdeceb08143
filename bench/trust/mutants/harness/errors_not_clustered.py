"""Rows of one question are taken for independent."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.tasks.task:standard_error",
    old="zip(clusters or range(len(values)), values, strict=True)",
    new="zip(range(len(values)), values, strict=True)",
    source=MADE,
    expected=("harness",),
)
