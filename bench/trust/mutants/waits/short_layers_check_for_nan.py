"""Layers behind the pruning check their hidden states."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.language:Language.finish",
    old="        layer = self.layers[index]\n",
    new=(
        "        layer = self.layers[index]\n"
        "        if index == len(self.layers) - 1 and bool(hidden.isnan().any()):\n"
        "            return hidden\n"
    ),
    source=MADE,
    expected=("syncs",),
)
