"""A question counts if any of its rotations is right."""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="bench.tasks.mmbench:MMBench.score",
    old="values[group] = min(hit, values.get(group, 1.0))",
    new="values[group] = max(hit, values.get(group, 0.0))",
    source="VLMEvalKit issues 141 and 121, circular and vanilla confused",
    expected=("harness",),
)
