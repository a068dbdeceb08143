"""Each token asks whether all samples have ended."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.model:HybridLlava.select",
    old="        state.token.copy_(token)\n",
    new=(
        "        state.token.copy_(token)\n        if state.finished.all():\n            return\n"
    ),
    source=MADE,
    expected=("syncs", "equivalence"),
)
