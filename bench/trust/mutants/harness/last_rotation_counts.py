"""The last rotation alone decides."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.tasks.mmbench:MMBench.score",
    old="values[group] = min(hit, values.get(group, 1.0))",
    new="values[group] = hit",
    source=MADE,
    expected=("harness",),
)
