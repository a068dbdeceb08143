"""A budget has changed only if the last layer's tokens have."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.report.history.spent:changes",
    old="(before := last.get(key, now)) != now:",
    new="(before := last.get(key, now)).tokens != now.tokens:",
    source=MADE,
    expected=("harness",),
)
