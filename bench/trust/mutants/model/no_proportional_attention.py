"""Attention forgets how many patches a key stands for."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.merging:Tokens.attention_bias",
    old="log_size_bias(self.size,",
    new="log_size_bias((self.size > 0).float(),",
    source=MADE,
    expected=("equivalence", "golden"),
)
