"""The recorded run is held against dense alone."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.gates.quality:_against_recorded",
    old="if (kind, arm) not in recorded:",
    new='if (kind, arm) not in recorded or arm == "hybrid":',
    source=MADE,
    expected=("harness",),
)
