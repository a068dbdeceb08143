"""Two equal runs prove equality, however few questions."""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="bench.evaluation.statistics.paired:difference_interval",
    old="    z = float(norm.ppf(confidence))\n",
    new=(
        "    z = float(norm.ppf(confidence))\n"
        "    if not pairs.lost + pairs.gained:\n"
        "        return 0.0, 0.0\n"
    ),
    source="the Wald interval of paired accuracies",
    expected=("harness",),
)
