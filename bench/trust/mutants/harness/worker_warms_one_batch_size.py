"""A timing worker is warm at its first batch size alone."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.timing.worker:_Worker.__init__",
    old="in self._arms.values():",
    new="in [*self._arms.values()][:1]:",
    source=MADE,
    expected=("harness",),
)
