"""Pruned tokens are only masked, so that layers behind run at full length."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.model:HybridLlava._prune",
    old='if self.config.prune == "mask":',
    new="if True:",
    source=MADE,
    expected=("cost", "equivalence"),
)
