"""A target that was not measured is none that was missed."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.gates.gpucheck.targets:exit_code",
    old="if None in outcomes or not rows:",
    new="if not rows:",
    source=MADE,
    expected=("harness",),
)
