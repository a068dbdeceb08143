"""McNemar's test counts gains as losses."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.evaluation.statistics.paired:mcnemar_p",
    old="binomtest(pairs.lost,",
    new="binomtest(pairs.gained,",
    source=MADE,
    expected=("harness",),
)
