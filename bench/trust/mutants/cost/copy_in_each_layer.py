"""Every layer copies its hidden states."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.model:HybridLlava._finish",
    old="layer = self.language.layers[index]",
    new="layer, hidden = self.language.layers[index], hidden.clone()",
    source=MADE,
    expected=("cost",),
)
