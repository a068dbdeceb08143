"""A method of one's own that exits ends a gate with its code, 0 among them."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.cli:main",
    old="if (exited := _of_own_method(ended)) is not None:",
    new="if (exited := None) is not None:",
    source=MADE,
    expected=("harness",),
)
