"""A verdict of the GPU tier lets one wait pass."""

from bench.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.gates.waits_gpu:_none_at_all",
    old="Outcome.FAIL if count else",
    new="Outcome.FAIL if count > 1 else",
    source=MADE,
    expected=("harness",),
)
