"""A block that forbids waits lets exactly one pass."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.syncs.detector:forbid_syncs",
    old="if report.count:",
    new="if report.count > 1:",
    source=MADE,
    expected=("harness",),
)
