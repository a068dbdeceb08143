"""A timing worker's first call is timed cold."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.timing.worker:_Worker.__init__",
    old="range(_WARM_UP)",
    new="range(0)",
    source=MADE,
    expected=("harness",),
)
