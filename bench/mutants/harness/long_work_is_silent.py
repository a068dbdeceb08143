"""Long work says nothing in a log, and looks as if it hung."""

from bench.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.progress:Bar.reach",
    old="if self.logs and not ended and",
    new="if not self.logs and not ended and",
    source=MADE,
    expected=("harness",),
)
