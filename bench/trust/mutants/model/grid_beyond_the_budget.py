"""The uniform grid is as wide as its step divides the side, which is more than the budget"""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="hybrid.methods.controls:Grid.every",
    old="len(range(0, high, k)) * len(range(0, wide, k))",
    new="(high // k) * (wide // k)",
    source="HiRED, 144 tokens for 128",
    expected=("equivalence",),
)
