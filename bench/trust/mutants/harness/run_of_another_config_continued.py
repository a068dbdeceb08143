"""A run of another configuration is continued: stale answers."""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="bench.evaluation.runs.identity:demand_same",
    old="difference(read_document(path), document, keys)",
    new='difference(read_document(path), document, ["model"])',
    source="VLMEvalKit, --reuse by file name",
    expected=("harness",),
)
