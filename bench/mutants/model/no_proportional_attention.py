"""Attention forgets how many patches a key stands for."""

from bench.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.merging:Tokens.attention_bias",
    old="self.size.log()",
    new="(self.size > 0).float().log()",
    source=MADE,
    expected=("equivalence", "golden"),
)
