"""Tokens that are handed on stand at the places of the first ones"""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="hybrid.stages:handed_over",
    old="position=visual.position.gather(1, slot)",
    new="position=visual.position[:, :budget]",
    source="VisionZip for Qwen2-VL",
    expected=("equivalence",),
)
