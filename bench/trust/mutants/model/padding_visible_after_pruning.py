"""The padding mask is lost when the sequence is cut."""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="hybrid.model:HybridLlava._prune",
    old="valid=sequence.valid.gather(1, index) & stays,",
    new="valid=torch.ones_like(index, dtype=torch.bool),",
    source="FastV, causal mask rebuilt after pruning",
    expected=("equivalence",),
)
