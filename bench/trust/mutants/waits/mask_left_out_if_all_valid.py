"""Layers ask whether anything is padded at all."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.model:HybridLlava._layers",
    old="mask = additive(causal_mask(sequence.valid), hidden.dtype) if masked else None",
    new=(
        "masked = masked and not sequence.valid.all()\n"
        "        mask = additive(causal_mask(sequence.valid), hidden.dtype) if masked else None"
    ),
    source=MADE,
    expected=("syncs",),
)
