"""A wait that no longer happens stays in the ledger."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.gates.sync.ledger:compare",
    old="        if entry.key not in counts\n",
    new="        if entry.key not in counts and counts\n",
    source=MADE,
    expected=("harness",),
)
