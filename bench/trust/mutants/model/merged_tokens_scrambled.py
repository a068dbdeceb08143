"""Merged tokens stay in the order of the last merge, under a causal mask."""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="hybrid.merging:in_raster_order",
    old="order = position.argsort(dim=1, stable=True)[:, :capacity]",
    new="order = (position == patches).long().argsort(dim=1, stable=True)[:, :capacity]",
    source="eobo0530/vlm_optimization; DyMU without unmerging",
    expected=("equivalence", "golden"),
)
