"""The static, the meta and the GPU's verdicts let one wait pass."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.gates.sync.gate:none_at_all",
    old="Outcome.FAIL if count else",
    new="Outcome.FAIL if count > 1 else",
    source=MADE,
    expected=("harness",),
)
