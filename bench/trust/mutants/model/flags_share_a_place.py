"""Two end flags under way share a place of the ring."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.stopping:EndWatch.all_ended",
    old="self._posted % AHEAD",
    new="self._posted % (AHEAD - 1)",
    source=MADE,
    expected=("equivalence",),
)
