"""A line's first wait is not counted."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.syncs.report:Report.record",
    old="tally.stages[stage] += 1",
    new="tally.stages[stage] += (operator, site) in self._tallies and bool(tally.stages)",
    source=MADE,
    expected=("harness",),
)
