"""A mask's rows start anywhere, so CUDA's attention copies it in each layer."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.masks:_hidden",
    old="width = -(-keys // ALIGNMENT) * ALIGNMENT",
    new="width = keys",
    source=MADE,
    expected=("cost",),
)
