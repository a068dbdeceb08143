"""Weights count as there when only their index is."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.arms.needs:_weights",
    old="sorted(shard for shard in shards if _cached(repository, shard) is None)",
    new="[]",
    source=MADE,
    expected=("harness",),
)
