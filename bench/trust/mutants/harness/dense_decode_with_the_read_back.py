"""Dense's decode includes reading the answer back, and the hybrid's does not."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.timing.arms:dense_arm",
    old="            stages.close()  # the read-back is the answer's alone, as in `hybrid_arm`\n",
    new="",
    source=MADE,
    expected=("harness",),
)
