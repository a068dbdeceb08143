"""All questions are judged by the margin of few."""

from bench.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.gates.quality:quality_gate",
    old="if profile.data.mmbench_subset is not None and profile",
    new="if profile",
    source=MADE,
    expected=("harness",),
)
