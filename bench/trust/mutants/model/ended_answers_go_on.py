"""A sample that has ended goes on while others are not done."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.model:HybridLlava.select",
    old=".masked_fill(state.finished, self.pad_id)",
    new="",
    source=MADE,
    expected=("equivalence",),
)
