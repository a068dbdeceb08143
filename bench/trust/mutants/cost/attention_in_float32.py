"""Attention runs in float32 where the model is in half precision."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.language:Language.attend",
    old=(
        "            query,\n"
        "            key,\n"
        "            value,\n"
        "            attn_mask=mask,\n"
        "            is_causal=mask is None,\n"
        "            scale=attention.scaling,\n"
        "            enable_gqa=attention.num_key_value_groups > 1,\n"
        "        )"
    ),
    new=(
        "            query.float(),\n"
        "            key.float(),\n"
        "            value.float(),\n"
        "            attn_mask=mask,\n"
        "            is_causal=mask is None,\n"
        "            scale=attention.scaling,\n"
        "            enable_gqa=attention.num_key_value_groups > 1,\n"
        "        ).to(query.dtype)"
    ),
    source=MADE,
    expected=("cost",),
)
