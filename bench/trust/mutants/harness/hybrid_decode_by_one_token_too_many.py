"""The hybrid's decode is divided by all tokens, the prefill's included."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.timing.arms:hybrid_arm",
    old="per=new_tokens - 1",
    new="per=new_tokens",
    source=MADE,
    expected=("harness",),
)
