"""A run of another configuration is continued: stale answers."""

from bench.mutants.mutant import Mutant

MUTANT = Mutant(
    target="bench.runs.identity:demand_same",
    old="        if difference is not None:\n",
    new='        if difference is not None and key == "model":\n',
    source="VLMEvalKit, --reuse by file name",
    expected=("harness",),
)
