"""No verdict at all is a success."""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="bench.base.verdict:exit_code",
    old="    if not verdicts:\n",
    new="    if verdicts is None:\n",
    source="lmms-eval, empty task lists that succeed",
    expected=("harness",),
)
