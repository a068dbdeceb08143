"""Two processes may write one run."""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="bench.evaluation.runs.loop:infer",
    old="        held.enter_context(locked(folder))\n",
    new="",
    source="https://github.com/stanford-crfm/helm/issues/1354",
    expected=("harness",),
)
