"""Survivors stay interleaved: the next block splits them otherwise than DyMU does."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.merging:merge",
    old="parity = slots & merged.any(dim=1, keepdim=True)",
    new="parity = torch.zeros_like(slots)",
    source=MADE,
    expected=("equivalence", "golden"),
)
