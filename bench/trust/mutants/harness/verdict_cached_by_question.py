"""What was read from an answer is remembered by question, not by answer."""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="bench.tasks.mmbench:MMBench.score",
    old="item.index: self._matcher(predictions[item.index], item.options)",
    new=(
        "item.index: vars(self).setdefault('_read', {}).setdefault(\n"
        "                item.index, self._matcher(predictions[item.index], item.options)\n"
        "            )"
    ),
    source="VLMEvalKit, the judge's cache",
    expected=("harness",),
)
