"""Two equal runs prove equality, however few questions."""

from bench.mutants.mutant import Mutant

MUTANT = Mutant(
    target="bench.gates.paired:difference_interval",
    old="    z = float(norm.ppf(confidence))\n",
    new=(
        "    z = float(norm.ppf(confidence))\n"
        "    if not pairs.lost + pairs.gained:\n"
        "        return 0.0, 0.0\n"
    ),
    source="the Wald interval of paired accuracies",
    expected=("harness",),
)
