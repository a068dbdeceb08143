"""Long work says nothing in a log, and looks as if it hung."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.base.progress:Bar.reach",
    old="if self.logs and not ended and",
    new="if not self.logs and not ended and",
    source=MADE,
    expected=("harness",),
)
