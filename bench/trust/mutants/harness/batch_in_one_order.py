"""A method is tried on one order of a batch, in which one that asks a certain row can be right."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.gates.method.trial:Trial.orders",
    old="            yield self._of(each, each)\n",
    new="            yield self._of(each, each)\n            return\n",
    source=MADE,
    expected=("harness",),
)
