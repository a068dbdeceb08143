"""A run with missing answers is scored."""

from bench.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.runs.loop:saved_predictions",
    old="    if len(predictions) < len(task.indices):\n",
    new="    if not predictions:\n",
    source=MADE,
    expected=("harness",),
)
