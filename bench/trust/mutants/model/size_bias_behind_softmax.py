"""The log of the sizes is added to attention's weights, not to its logits."""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="hybrid.vision:_attention",
    old=(
        "    out = scaled_dot_product_attention(query, key, value, attn_mask=bias, "
        "scale=module.scale)\n"
    ),
    new=(
        "    weights = (query @ key.transpose(2, 3) * module.scale).softmax(dim=-1)\n"
        "    out = (weights if bias is None else weights + bias.clamp(min=0)) @ value\n"
    ),
    source="DyMU, the timm path without fused attention",
    expected=("equivalence", "golden"),
)
