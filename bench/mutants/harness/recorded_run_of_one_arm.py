"""The recorded run is held against dense alone."""

from bench.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.gates.quality:_against_recorded",
    old="if (name := named.get(arm)) is not None",
    new='if (name := named.get(arm)) is not None and arm == "dense"',
    source=MADE,
    expected=("harness",),
)
