"""The aggregation layer runs again behind the pruning, and stores its keys and values again."""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="hybrid.model:HybridLlava.prefill",
    old="begin = stage.layer",
    new="begin = stage.layer - 1",
    source="FastV in lmms-eval, issue 46",
    expected=("equivalence",),
)
