"""A host that was held up is no wait, if none was reported."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.gates.sync.gpu:_pressure",
    old="_none_at_all(gate, pressure.held_up,",
    new="_none_at_all(gate, False,",
    source=MADE,
    expected=("harness",),
)
