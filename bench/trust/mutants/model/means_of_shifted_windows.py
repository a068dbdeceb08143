"""Averages stand at the last patch of their window instead of the first"""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.methods.controls:Pool.choose",
    old="(window * high // side)[:, None] * wide + window * wide // side",
    new="((window + 1) * high // side - 1)[:, None] * wide + (window + 1) * wide // side - 1",
    source=MADE,
    expected=("equivalence",),
)
