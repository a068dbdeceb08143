"""The ranked span is one token late: the first image token is not ranked, a text token is."""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="hybrid.model:HybridLlava.prefill",
    old="row.gather(1, places.first[:, None] + slots)",
    new="row.gather(1, places.first[:, None] + slots + 1)",
    source="FastV, scripts with 36 for 35",
    expected=("equivalence",),
)
