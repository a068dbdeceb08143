"""Bounds on an image's pixels are written into run.json, and the processor keeps its own."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.arms.models:load_checkpoint",
    old="    set_pixels(processor, profile.data.min_pixels, profile.data.max_pixels)\n",
    new="",
    source=MADE,
    expected=("harness",),
)
