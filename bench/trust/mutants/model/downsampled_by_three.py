"""The image is made smaller by a factor of three, whatever the budget says"""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="hybrid.methods.downsample:Downsample.side_of",
    old="isqrt(self.keep.of(side * side))",
    new="max(1, side // 3)",
    source="VTC-Bench, qwen2_vl.py",
    expected=("equivalence",),
)
