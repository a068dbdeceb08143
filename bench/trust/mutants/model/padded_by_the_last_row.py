"""Whether a batch is padded is decided by its last row."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.inputs:mask_of",
    old="attention_mask.all()",
    new="attention_mask[-1].all()",
    source=MADE,
    expected=("equivalence",),
)
