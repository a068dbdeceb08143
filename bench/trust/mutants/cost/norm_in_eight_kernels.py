"""The norms are transformers' own, eight kernels each."""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="hybrid.language:_normed",
    old="return rms_norm(hidden, norm.weight.shape, norm.weight, norm.variance_epsilon)",
    new="return norm(hidden)",
    source="transformers, LlamaRMSNorm",
    expected=("cost",),
)
