"""Every layer of every step reads the highest position id back to the host."""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="hybrid.language:Language.project",
    old="        query = attention.q_proj(normed)",
    new=(
        "        if rotary is not None:\n"
        "            rotary[0].max().item()\n"
        "        query = attention.q_proj(normed)"
    ),
    source="eobo0530/vlm_optimization, position_ids.max().item() in modified modeling_llama.py",
    expected=("syncs",),
)
