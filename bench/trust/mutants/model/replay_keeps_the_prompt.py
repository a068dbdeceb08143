"""A replay keeps the prompt ids of its capture."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.graphs:_copy_inputs",
    old="        captured.copy_(given)\n",
    new="        if given is not source.input_ids:\n            captured.copy_(given)\n",
    source=MADE,
    expected=("equivalence",),
)
