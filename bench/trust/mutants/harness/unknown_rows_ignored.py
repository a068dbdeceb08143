"""Predictions of other data are passed over."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.tasks.task:check_predictions",
    old="    if unknown:\n",
    new="    if unknown and missing:\n",
    source=MADE,
    expected=("harness",),
)
