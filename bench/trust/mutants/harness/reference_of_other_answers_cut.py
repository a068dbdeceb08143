"""A reference is cut to a run's questions, whatever the right answers were when it was made."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.evaluation.comparison.recorded:_letters",
    old="if (reference.letters[index] == item.answer) != reference.row_hits[index]:",
    new="if index not in reference.letters:",
    source=MADE,
    expected=("harness",),
)
