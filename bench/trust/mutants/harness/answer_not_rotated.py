"""An answer letter that was not rotated with its options passes."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.tasks.mmbench:check_rotations",
    old="item.options[item.answer] != main.options[main.answer]",
    new="item.answer not in main.options",
    source=MADE,
    expected=("harness",),
)
