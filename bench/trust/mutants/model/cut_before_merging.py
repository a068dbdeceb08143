"""Tokens beyond a size are cut off, not merged; the last one left stands for their patches."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.methods.dtome:DToMe.merge",
    old="return merge(tokens, metric, threshold, slots).first(slots)",
    new=(
        "tokens = merge(tokens, metric, threshold).first(slots)\n"
        "        return replace(tokens, owner=tokens.owner.clamp(max=slots - 1))"
    ),
    source=MADE,
    expected=("equivalence",),
)
