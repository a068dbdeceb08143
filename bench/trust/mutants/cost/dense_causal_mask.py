"""A dense mask where is_causal would do: the same answer, and the flash kernel is lost."""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="hybrid.model:HybridLlava._layers",
    old="mask = additive(causal_mask(sequence.valid), hidden.dtype) if masked else None",
    new="mask = additive(causal_mask(sequence.valid), hidden.dtype)",
    source="eobo0530/vlm_optimization",
    expected=("cost",),
)
