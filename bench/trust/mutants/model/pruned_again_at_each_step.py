"""Every decode step ranks the kept tokens again and hides the lowest."""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="hybrid.model:HybridLlava.decode",
    old="                attended = self.language.attend(i, query, keys, values, mask)\n",
    new=(
        "                if i == self.config.aggregation_layer + 1:\n"
        "                    from hybrid.pruning import last_row_scores\n"
        "                    row = last_row_scores(query, keys, span.valid, 1.0)\n"
        "                    lowest = row.masked_fill(~span.valid, 2.0).argmin(dim=1, "
        "keepdim=True)\n"
        "                    span.valid.scatter_(1, lowest, False)\n"
        "                attended = self.language.attend(i, query, keys, values, mask)\n"
    ),
    source="FastV, fork for transformers 4.31",
    expected=("equivalence",),
)
