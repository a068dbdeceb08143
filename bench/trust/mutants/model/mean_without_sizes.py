"""A merged token is the plain mean, whatever its parts already hold."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.merging:merge",
    old="weight @ (even * even_size[..., None])",
    new="weight @ even * even_size.amax(dim=1)[:, None, None]",
    source=MADE,
    expected=("equivalence",),
)
