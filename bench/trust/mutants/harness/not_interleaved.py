"""Arms are timed one behind the other, A A B B."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.timing.interleave:block_order",
    old="return [*there, *reversed(there)]",
    new="return [name for name in there for _ in range(2)]",
    source=MADE,
    expected=("harness",),
)
