"""Pixels are resized by torchvision where it happens to be installed."""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="bench.arms.models:load_processor",
    old=', backend="pil"',
    new="",
    source="transformers, image processors: torchvision is the default where it is installed",
    expected=("harness",),
)
