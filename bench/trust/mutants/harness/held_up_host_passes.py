"""A host that was held up is no wait, if none was reported."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.gates.sync.gpu:_pressure",
    old="none_at_all(gate, pressure.held_up,",
    new="none_at_all(gate, False,",
    source=MADE,
    expected=("harness",),
)
