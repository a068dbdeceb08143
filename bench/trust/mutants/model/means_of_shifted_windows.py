"""Averages stand at the last patch of their window instead of the first"""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.methods.controls:Pool.choose",
    old="        slot = row[:, None] * wide + column\n",
    new=(
        "        row = torch.arange(1, rows + 1, device=features.device) * high // "
        "rows - 1\n"
        "        column = torch.arange(1, columns + 1, device=features.device) * wide "
        "// columns - 1\n"
        "        slot = row[:, None] * wide + column\n"
    ),
    source=MADE,
    expected=("equivalence",),
)
