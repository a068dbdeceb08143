"""A timing worker leaves the garbage collector on."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.timing.worker:_Worker.__init__",
    old="        gc.disable()\n",
    new="",
    source=MADE,
    expected=("harness",),
)
