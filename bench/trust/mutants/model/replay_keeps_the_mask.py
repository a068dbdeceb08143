"""A replay keeps the attention mask of its capture."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.graphs:_copy_inputs",
    old="    target.attention_mask.copy_(source.attention_mask)\n",
    new="",
    source=MADE,
    expected=("equivalence",),
)
