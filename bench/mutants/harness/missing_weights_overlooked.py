"""Nothing that is missing stops a run before it loads."""

from bench.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.needs:check_needs",
    old="if not need.met",
    new="if need.met is None",
    source=MADE,
    expected=("harness",),
)
