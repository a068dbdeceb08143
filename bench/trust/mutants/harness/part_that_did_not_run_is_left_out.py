"""A target whose part did not run is left out, and nobody misses it."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.gates.gpucheck.targets:judge",
    old="            rows.append(missing(target, reason))\n            continue\n",
    new="            continue\n",
    source=MADE,
    expected=("harness",),
)
