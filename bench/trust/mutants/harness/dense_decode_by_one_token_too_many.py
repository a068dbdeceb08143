"""Dense's decode is divided by all tokens, the prefill's included."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.timing.arms:_FirstToken.__call__",
    old="per=self.new_tokens - 1",
    new="per=self.new_tokens",
    source=MADE,
    expected=("harness",),
)
