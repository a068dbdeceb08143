"""Layers behind the pruning are told that nothing is padded."""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="hybrid.model:HybridLlava.prefill",
    old='masked = masked or config.prune == "mask"',
    new='masked = config.prune == "mask"',
    source="FastV, causal mask rebuilt after pruning",
    expected=("equivalence",),
)
