"""Visual features stay in float32 up to the language model."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.model:HybridLlava._lay_out",
    old="features = self.family.embed(visual, inputs).to(text.dtype)",
    new="features = self.family.embed(visual, inputs).float().to(text.dtype)",
    source=MADE,
    expected=("cost",),
)
