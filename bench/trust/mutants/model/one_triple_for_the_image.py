"""All tokens of an image stand where its first one does."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.families.qwen_vl:_positions",
    old="yield position + torch.cat([torch.zeros_like(cells[:1]), cells])",
    new="yield position + torch.zeros(3, high * wide, dtype=torch.long)",
    source=MADE,
    expected=("equivalence",),
)
