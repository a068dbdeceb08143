"""A wait in the ledger may happen more often than it says."""

from bench.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.syncs.ledger:compare",
    old="        elif count > entry.count:\n",
    new="        elif count > 100 * entry.count:\n",
    source=MADE,
    expected=("harness",),
)
