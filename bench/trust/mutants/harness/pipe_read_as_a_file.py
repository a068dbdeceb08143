"""A pipe or device is read where a file should lie."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.base.reading:opened",
    old="if not stat.S_ISREG(found.st_mode):",
    new="if stat.S_ISDIR(found.st_mode):",
    source=MADE,
    expected=("harness",),
)
