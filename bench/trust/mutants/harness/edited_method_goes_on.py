"""A user's own method is no part of a run's identity, so an edited one keeps its old answers."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.evaluation.runs.job:Job.spec",
    old="            method={} if own is None else own.files,\n",
    new="            method={},\n",
    source=MADE,
    expected=("harness",),
)
