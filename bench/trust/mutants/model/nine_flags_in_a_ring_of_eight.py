"""Nine end flags are under way in a ring of eight."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.stopping:EndWatch.all_ended",
    old="len(self._events) < AHEAD",
    new="len(self._events) <= AHEAD",
    source=MADE,
    expected=("equivalence",),
)
