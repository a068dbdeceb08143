"""A run with missing answers is scored."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.evaluation.runs.loop:saved_predictions",
    old="    if len(predictions) < len(task.indices):\n",
    new="    if not predictions:\n",
    source=MADE,
    expected=("harness",),
)
