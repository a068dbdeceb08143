"""Logits are computed of the whole prompt instead of its last token."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.model:HybridLlava.prefill",
    old="logits=self.language.logits(sequence.hidden[:, -1]),",
    new="logits=self.language.logits(sequence.hidden)[:, -1],",
    source=MADE,
    expected=("cost",),
)
