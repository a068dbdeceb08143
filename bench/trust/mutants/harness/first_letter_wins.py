"""Of several letters in an answer the first is taken."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.tasks.matchers:vlmevalkit_2025_04",
    old="        if len(letters) == 1:\n",
    new="        if letters:\n",
    source=MADE,
    expected=("harness",),
)
