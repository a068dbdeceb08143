"""Nothing that is missing stops a run before it loads."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.arms.needs:check_needs",
    old="if not need.met",
    new="if need.met is None",
    source=MADE,
    expected=("harness",),
)
