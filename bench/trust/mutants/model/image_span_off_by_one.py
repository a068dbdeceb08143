"""The ranked span is one token late: the first image token is not ranked, a text token is."""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="hybrid.stages:Read.of_image",
    old="places = self.standing.place",
    new="places = self.standing.place + 1",
    source="FastV, scripts with 36 for 35",
    expected=("equivalence",),
)
