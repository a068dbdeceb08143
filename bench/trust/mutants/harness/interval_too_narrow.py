"""The interval spends all of its error on both sides."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.timing.ratio:signed_rank_interval",
    old="norm.isf((1 - confidence) / 2)",
    new="norm.isf(1 - confidence)",
    source=MADE,
    expected=("harness",),
)
