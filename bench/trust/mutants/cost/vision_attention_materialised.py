"""The tower computes its attention matrix."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.vision:_attention",
    old=(
        "    out = scaled_dot_product_attention(query, key, value, attn_mask=bias, "
        "scale=module.scale)\n"
    ),
    new=(
        "    logits = query @ key.transpose(2, 3) * module.scale\n"
        "    out = (logits if bias is None else logits + bias).softmax(dim=-1) @ value\n"
    ),
    source=MADE,
    expected=("cost",),
)
