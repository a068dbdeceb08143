"""All questions are judged by the margin of few."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.arms.profiles.settings:QualityGate.margin_of",
    old="if subset is None or self.subset_margin is None:",
    new="if self.subset_margin is None:",
    source=MADE,
    expected=("harness",),
)
