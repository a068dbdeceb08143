"""The causal mask is made anew in every layer."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.model:HybridLlava._layers",
    old="            kv.start(i, key, value)\n",
    new=(
        "            kv.start(i, key, value)\n"
        "            allowed = causal_mask(sequence.valid)\n"
        "            mask = additive(allowed, hidden.dtype) if masked else None\n"
    ),
    source=MADE,
    expected=("cost",),
)
