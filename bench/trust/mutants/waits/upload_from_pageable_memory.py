"""End tokens are uploaded from pageable memory at every step."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.model:HybridLlava.select",
    old="        for end_id in self.end_ids:\n",
    new=(
        "        torch.tensor(self.end_ids, device=state.token.device)\n"
        "        for end_id in self.end_ids:\n"
    ),
    source=MADE,
    expected=("syncs",),
)
