"""Every sample's rows are picked by the first one's indices."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.merging:rows",
    old="index[..., None].expand(-1, -1, table.shape[-1])",
    new="index[:1, :, None].expand(len(table), -1, table.shape[-1])",
    source=MADE,
    expected=("equivalence",),
)
