"""A new file in a package, which is imported, leaves the revision unchanged in verdicts."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.base.checkout:is_changed",
    old='git("ls-files", "--others", "-z"',
    new='git("ls-files", "--deleted", "-z"',
    source=MADE,
    expected=("harness",),
)
