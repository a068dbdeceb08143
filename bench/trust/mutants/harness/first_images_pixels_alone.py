"""A prompt that is looked at alone is given the first image of its batch, of a Qwen-VL."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.arms.finite:_alone",
    old="begin, count = int(patches[:row].sum()), ",
    new="begin, count = 0, ",
    source=MADE,
    expected=("harness",),
)
