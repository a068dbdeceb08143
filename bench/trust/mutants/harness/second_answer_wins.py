"""Of two answers to one row the second counts."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.tasks.rescore:read_jsonl",
    old="        if index in predictions:\n",
    new="        if index in predictions and prediction == predictions[index]:\n",
    source=MADE,
    expected=("harness",),
)
