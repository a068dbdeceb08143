"""The language model, a part of a layer at a time, so that the path can drop tokens between.

Shapes: B samples, R tokens of a prompt (or one), D width, H heads of width C, G key-value heads, V
words. In virtual unmerging queries, keys and values are one for each of L patches and words; else
L is R.
"""

from typing import Any

from torch import Tensor, nn
from torch.nn.functional import rms_norm, scaled_dot_product_attention
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from hybrid.rope import Unmerging

Rotary = tuple[Tensor, Tensor]


class Language:
    """Runs transformers' own; its weights are used, not copied.

    Args:
        model: transformers' `LlamaModel`, or one with the same parts.
        head: D -> V.
    """

    def __init__(self, model: nn.Module, head: nn.Linear) -> None:
        self.model: Any = model
        self.head = head
        self.layers: Any = self.model.layers

    def embed(self, ids: Tensor) -> Tensor:
        """Of ids [B, R]: [B, R, D]."""
        embedded: Tensor = self.model.embed_tokens(ids)
        return embedded

    def rotary(self, hidden: Tensor, position_ids: Tensor) -> Rotary:
        """Cosine and sine [B, R, C] at positions [B, R], in the dtype of `hidden`."""
        cos, sin = self.model.rotary_emb(hidden, position_ids)
        return cos, sin

    def project(
        self,
        index: int,
        hidden: Tensor,
        rotary: Rotary | None,
        virtual: Unmerging | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Query [B, H, L, C], key and value [B, G, L, C] of hidden [B, R, D], after RoPE if any."""
        layer = self.layers[index]
        attention, normed = layer.self_attn, _normed(hidden, layer.input_layernorm)
        heads = (*hidden.shape[:-1], -1, attention.head_dim)
        query = attention.q_proj(normed).view(heads)
        key = attention.k_proj(normed).view(heads)
        if hasattr(attention, "q_norm"):
            query, key = _normed(query, attention.q_norm), _normed(key, attention.k_norm)
        value = attention.v_proj(normed).view(heads)
        query, key, value = (each.transpose(1, 2) for each in (query, key, value))
        if virtual is not None:
            query, key, value = (virtual.expand(heads) for heads in (query, key, value))
        if rotary is not None:
            query, key = apply_rotary_pos_emb(query, key, *rotary)
        return query, key, value

    def scaling(self, index: int) -> float:
        """Of attention logits."""
        scaling: float = self.layers[index].self_attn.scaling
        return scaling

    def attend(
        self, index: int, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None
    ) -> Tensor:
        """Fused attention: [B, H, L, C]."""
        attention = self.layers[index].self_attn
        return scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=mask,
            is_causal=mask is None,
            scale=attention.scaling,
            enable_gqa=attention.num_key_value_groups > 1,
        )

    def finish(self, index: int, hidden: Tensor, attended: Tensor) -> Tensor:
        """Output projection, residuals and MLP: [B, R, D]."""
        layer = self.layers[index]
        hidden = hidden + layer.self_attn.o_proj(attended.transpose(1, 2).flatten(start_dim=2))
        mlp: Tensor = layer.mlp(_normed(hidden, layer.post_attention_layernorm))
        return hidden + mlp

    def normed(self, hidden: Tensor) -> Tensor:
        """Behind the final norm: [.., D]."""
        return _normed(hidden, self.model.norm)

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits [B, V] of the last hidden state [B, D]."""
        logits: Tensor = self.head(self.normed(hidden))
        return logits


def _normed(hidden: Tensor, norm: Any) -> Tensor:
    """Llama's RMSNorm as one operator, and on CUDA one kernel, of transformers' eight."""
    return rms_norm(hidden, norm.weight.shape, norm.weight, norm.variance_epsilon)
