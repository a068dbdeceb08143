"""The answer is read back row by row."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.model:HybridLlava.generate",
    old='        ids = ids.to("cpu")  # sync-ok: the one read-back\n',
    new="        ids = torch.stack([row.cpu() for row in ids])\n",
    source=MADE,
    expected=("syncs",),
)
