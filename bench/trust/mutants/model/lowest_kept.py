"""The lowest-ranked tokens stay."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.pruning:rank_scores",
    old='return -scores if rank == "lowest" else scores',
    new='return scores if rank == "lowest" else -scores',
    source=MADE,
    expected=("equivalence", "golden"),
)
