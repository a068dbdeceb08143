"""Each arm's FLOPs are dense's."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.cost.budget:Counted._flops",
    old="stages_of(self.llava, config, self.given)",
    new="stages_of(self.llava, None, self.given)",
    source=MADE,
    expected=("harness",),
)
