"""Recorded captions are paired with whatever images bear their numbers."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.evaluation.comparison.recorded:_captions",
    old="if reference.truth_digests[index] != truth_digest(captions):",
    new="if index not in reference.truth_digests:",
    source=MADE,
    expected=("harness",),
)
