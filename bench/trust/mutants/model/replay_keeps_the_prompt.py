"""A replay keeps the prompt ids of its capture."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.graphs:_copy_inputs",
    old="    target.input_ids.copy_(source.input_ids)\n",
    new="",
    source=MADE,
    expected=("equivalence",),
)
