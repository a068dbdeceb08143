"""Questions that only one run answered are dropped from the pairs."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.evaluation.statistics.matching:matched_ids",
    old="    for name, missing in (\n",
    new=(
        "    if run.keys() & reference.keys():\n"
        "        return sorted(run.keys() & reference.keys())\n"
        "    for name, missing in (\n"
    ),
    source=MADE,
    expected=("harness",),
)
