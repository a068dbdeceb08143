"""The budget is read from the device."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.pruning:keep_top",
    old="    slots = scores.shape[1]\n",
    new=("    slots = scores.shape[1]\n    budget = max(counts.tolist())\n"),
    source=MADE,
    expected=("syncs",),
)
