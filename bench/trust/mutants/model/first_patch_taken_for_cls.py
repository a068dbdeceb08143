"""Attention to the patches is read one token early"""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="hybrid.vision:Looked.attention",
    old="[:, :, 0, 1:]",
    new="[:, :, 0, :-1]",
    source="VisionZip for Qwen2-VL",
    expected=("equivalence",),
)
