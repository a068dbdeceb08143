"""Every decode step copies the whole cache."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.cache:KVCache.append",
    old="        return buffers",
    new="        return buffers[0].clone(), buffers[1].clone()",
    source=MADE,
    expected=("cost",),
)
