"""A proof of waiting that failed does not count."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.gates.gpucheck.targets:no_waits",
    old="!= Outcome.PASS",
    new="== Outcome.UNSURE",
    source=MADE,
    expected=("harness",),
)
