"""Pruning picks valid tokens by a mask."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.pruning:keep_top",
    old="    slots = scores.shape[1]\n",
    new=("    slots = scores.shape[1]\n    scores[valid]\n"),
    source=MADE,
    expected=("syncs",),
)
