"""A part that raised is not listed as missing."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.gates.gpucheck.check:_measure",
    old='        document["missing"][part.name] = named[:300]\n',
    new='        document["missing"].pop(part.name)\n',
    source=MADE,
    expected=("harness",),
)
