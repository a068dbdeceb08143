"""A wait in the ledger may happen more often than it says."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.gates.sync.ledger:compare",
    old="        elif count > entry.count:\n",
    new="        elif count > 100 * entry.count:\n",
    source=MADE,
    expected=("harness",),
)
