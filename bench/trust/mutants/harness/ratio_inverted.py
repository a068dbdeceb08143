"""The ratio is the reference's time by the arm's."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.timing.ratio:block_log_ratios",
    old="np.log(arm) - np.log(reference)",
    new="np.log(reference) - np.log(arm)",
    source=MADE,
    expected=("harness",),
)
