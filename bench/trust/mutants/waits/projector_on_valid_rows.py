"""Only valid slots are projected, picked by a mask."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.model:HybridLlava._lay_out",
    old="        features = self.family.embed(visual, inputs).to(text.dtype)",
    new=(
        "        self.projector(visual.features[visual.valid])\n"
        "        features = self.family.embed(visual, inputs).to(text.dtype)"
    ),
    source=MADE,
    expected=("syncs",),
)
