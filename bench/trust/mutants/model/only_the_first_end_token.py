"""Of several end tokens only the first ends an answer."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.model:HybridLlava.select",
    old="for end_id in self.end_ids:",
    new="for end_id in self.end_ids[:1]:",
    source=MADE,
    expected=("equivalence",),
)
