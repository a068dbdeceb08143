"""A wait may happen once more than the ledger says."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.gates.sync.ledger:compare",
    old="entry.count == count",
    new="entry.count in (count, count - 1)",
    source=MADE,
    expected=("harness",),
)
