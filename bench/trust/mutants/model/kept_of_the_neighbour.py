"""A sample keeps what its neighbour's ranking chose."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.model:HybridLlava._prune",
    old="kept_index(kept, standing.place,",
    new="kept_index(Kept(kept.slot.roll(1, 0), kept.valid.roll(1, 0)), standing.place,",
    source=MADE,
    expected=("equivalence",),
)
