"""Rows without a prediction are left out of the score."""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="bench.tasks.task:check_predictions",
    old="    if missing:\n",
    new="    if len(missing) == len(wanted):\n",
    source="VLMEvalKit and lmms-eval, incomplete runs scored",
    expected=("harness",),
)
