"""At the pruning layer the last position id is read to the host."""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="hybrid.model:HybridLlava._prune",
    old='        if self.config.prune == "mask":',
    new=('        int(sequence.position_ids[0, -1])\n        if self.config.prune == "mask":'),
    source="eobo0530/vlm_optimization, [0, -1].item() at the pruning layer",
    expected=("syncs",),
)
