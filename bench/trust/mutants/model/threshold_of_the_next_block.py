"""Each block merges by the threshold of the block behind it."""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="hybrid.methods.dtome:DToMe.merge",
    old="self.thresholds[block]",
    new="self.thresholds[block + 1]",
    source="any port of DyMU",
    expected=("equivalence", "golden"),
)
