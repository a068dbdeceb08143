"""Every new token goes to the host as it comes."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.model:HybridLlava.generate_no_sync",
    old="            self.select(state)\n",
    new=('            self.select(state)\n            state.token.to("cpu", copy=True)\n'),
    source=MADE,
    expected=("syncs",),
)
