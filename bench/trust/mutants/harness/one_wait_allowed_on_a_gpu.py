"""A verdict of the GPU tier lets one wait pass."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.gates.sync.gpu:_none_at_all",
    old="Outcome.FAIL if count else",
    new="Outcome.FAIL if count > 1 else",
    source=MADE,
    expected=("harness",),
)
