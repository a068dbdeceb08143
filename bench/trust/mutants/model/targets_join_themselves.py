"""VisionZip's targets are among what merges into them"""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.methods.visionzip:VisionZip.choose",
    old="into.masked_fill(is_target[:, None], 0)",
    new="into",
    source=MADE,
    expected=("equivalence",),
)
