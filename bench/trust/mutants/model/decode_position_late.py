"""Decode starts one position late."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.model:HybridLlava._span",
    old="sequence.position_ids[..., -1] + 1",
    new="sequence.position_ids[..., -1] + 2",
    source=MADE,
    expected=("equivalence", "golden"),
)
