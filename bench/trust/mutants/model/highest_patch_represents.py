"""A merged token stands at its highest patch."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.merging:in_raster_order",
    old='reduce="amin"',
    new='reduce="amax", include_self=False',
    source=MADE,
    expected=("equivalence", "golden"),
)
