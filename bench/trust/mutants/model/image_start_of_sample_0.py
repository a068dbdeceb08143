"""All samples are cut where the first one's image starts."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.pruning:kept_index",
    old="behind_first = index - first[:, None]",
    new=("first = first[:1].expand_as(first)\n    behind_first = index - first[:, None]"),
    source=MADE,
    expected=("equivalence",),
)
