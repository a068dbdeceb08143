"""A number that is none passes."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.base.verdict:Verdict.__post_init__",
    old="not math.isfinite(number)",
    new="math.isinf(number)",
    source=MADE,
    expected=("harness",),
)
