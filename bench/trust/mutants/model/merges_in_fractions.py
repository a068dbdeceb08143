"""Calibration lets every block merge the same fraction, rounded once for the whole batch."""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="hybrid.calibrate.thresholds:Ranking.merge",
    old="        merges = self.merges_per_block[block] * len(metric)",
    new="        merges = round(sum(self.merges_per_block) * len(metric) / len(self.found))",
    source="this project, before it was held to the script of DyMU",
    expected=("equivalence",),
)
