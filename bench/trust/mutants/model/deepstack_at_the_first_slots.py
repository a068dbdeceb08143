"""What is added behind the first layers stands at the first places of the prompt."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.model:at_slots",
    old="rows(features, places.visual_slot).masked_fill(is_text, 0.0)",
    new="torch.nn.functional.pad(features, (0, 0, 0, is_text.shape[1] - features.shape[1]))",
    source=MADE,
    expected=("equivalence",),
)
