"""Layers behind the pruning check their hidden states."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.model:HybridLlava._finish",
    old="        layer = self.language.layers[index]\n",
    new=(
        "        layer = self.language.layers[index]\n"
        "        if index == len(self.language.layers) - 1 and bool(hidden.isnan().any()):\n"
        "            return hidden\n"
    ),
    source=MADE,
    expected=("syncs",),
)
