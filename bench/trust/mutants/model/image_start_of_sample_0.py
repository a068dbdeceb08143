"""All samples are cut where the first one's image starts."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.pruning:kept_index",
    old="before = place - torch",
    new="place = place - place[:, :1] + place[:1, :1]\n    before = place - torch",
    source=MADE,
    expected=("equivalence",),
)
