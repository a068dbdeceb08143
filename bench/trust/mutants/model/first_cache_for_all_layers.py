"""Layers of one length share the first one's keys and values at decode."""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="hybrid.cache:KVCache.start",
    old="self._buffers[layer] = buffers",
    new=(
        "same = (b for b in self._buffers if b is not None and b[0].shape == shape)\n"
        "        self._buffers[layer] = next(same, buffers)"
    ),
    source="FastV, modeling with KV cache, issue 49",
    expected=("equivalence",),
)
