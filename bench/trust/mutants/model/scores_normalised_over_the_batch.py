"""Attention is normalised over the whole batch, so that heads weigh by what the neighbours show."""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="hybrid.pruning:last_row_scores",
    old="return logits.softmax(dim=-1).mean(dim=(1, 2))",
    new=(
        "weights = (logits - logits.amax()).exp()\n"
        "    return (weights / weights.sum(dim=(0, 3), keepdim=True)).mean(dim=(1, 2))"
    ),
    source="CDPruner",
    expected=("equivalence",),
)
