"""A run records what dense spends, whatever its arm."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.evaluation.runs.evaluate:_infer",
    old="counted.budget(job.config)",
    new="counted.budget(None)",
    source=MADE,
    expected=("harness",),
)
