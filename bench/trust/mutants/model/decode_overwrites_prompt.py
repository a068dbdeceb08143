"""A decoded token is stored over the last one."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.model:HybridLlava.decode",
    old="slot = state.step + (span.valid.shape[1] - state.ids.shape[1])",
    new="slot = state.step + (span.valid.shape[1] - state.ids.shape[1]) - 1",
    source=MADE,
    expected=("equivalence",),
)
