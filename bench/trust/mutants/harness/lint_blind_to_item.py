"""The static check does not know .item()."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.gates.sync.lint:_reasons",
    old="    if name in _METHODS:\n",
    new='    if name in _METHODS and name != "item":\n',
    source=MADE,
    expected=("harness",),
)
