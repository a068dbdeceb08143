"""A weight that the checkpoint lacks is drawn at random, and both arms answer as badly."""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="bench.arms.models:load_checkpoint",
    old='if report["missing_keys"]:',
    new='if report["error_msgs"]:',
    source="transformers, from_pretrained: newly initialized weights are a warning",
    expected=("harness",),
)
