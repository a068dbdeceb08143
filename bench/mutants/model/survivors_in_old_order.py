"""Survivors stay interleaved: the next block splits them otherwise than DyMU does."""

from bench.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.merging:merge",
    old="order = gone.long().argsort(dim=1, stable=True)",
    new=(
        "place = torch.cat([_arange_like(even_size) * 2, _arange_like(odd_size) * 2 + 1], "
        "dim=1)\n"
        "    order = (gone.long() * 9999 + place).argsort(dim=1, stable=True)"
    ),
    source=MADE,
    expected=("equivalence", "golden"),
)
