"""Every layer copies its hidden states."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.language:Language.finish",
    old="layer = self.layers[index]",
    new="layer, hidden = self.layers[index], hidden.clone()",
    source=MADE,
    expected=("cost",),
)
