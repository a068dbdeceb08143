"""The hybrid's floor counts a block of the tower that it leaves out."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.timing.arms:tower_tokens",
    old="len(vision.blocks)",
    new="vision.model.config.num_hidden_layers",
    source=MADE,
    expected=("harness",),
)
