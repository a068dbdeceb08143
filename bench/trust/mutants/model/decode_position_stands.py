"""Every decoded token gets the same position."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.model:HybridLlava.decode",
    old="span.next_position[..., None] + state.step",
    new="span.next_position[..., None]",
    source=MADE,
    expected=("equivalence",),
)
