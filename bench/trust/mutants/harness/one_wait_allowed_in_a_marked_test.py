"""A test that is marked no_sync may wait once."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.syncs.plugin:pytest_pyfunc_call",
    old="if report.count and",
    new="if report.count > 1 and",
    source=MADE,
    expected=("harness",),
)
