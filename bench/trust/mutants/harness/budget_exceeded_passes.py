"""A method that leaves more tokens than its budget names passes `method check`."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.gates.method.promises:lengths",
    old="(found[-1] > kept)",
    new="(found[-1] > 2 * kept)",
    source=MADE,
    expected=("harness",),
)
