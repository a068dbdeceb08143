"""A wait that no longer happens stays in the ledger."""

from bench.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.syncs.ledger:compare",
    old="        if entry.key not in counts\n",
    new="        if entry.key not in counts and counts\n",
    source=MADE,
    expected=("harness",),
)
