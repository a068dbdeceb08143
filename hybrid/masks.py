"""Who may attend to whom, in the form that fused attention takes without work of its own.

PyTorch's `scaled_dot_product_attention` turns a bool mask into an additive one, and on CUDA copies
one whose rows are not aligned, in each call. Made once here, one serves all layers.
"""

import torch
from torch import Tensor

ALIGNMENT = 16  # elements that rows start at multiples of, for CUDA's memory-efficient attention


def causal_mask(valid: Tensor) -> Tensor:
    """Which keys [.., k] a query [.., q, :] may attend to: [B, 1, R, R] bool.

    A padding query attends to itself, so that no softmax runs over nothing and gives NaN.

    Args:
        valid: [B, R] bool, False for padding.
    """
    length = valid.shape[1]
    ones = torch.ones(length, length, dtype=torch.bool, device=valid.device)
    return ((ones.tril() & valid[:, None, :]) | ones.tril().logical_and(ones.triu()))[:, None]


def additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """A bool mask [B, 1, q, k] as what is added to logits: 0 where allowed, else -inf."""
    return _hidden(mask, dtype).masked_fill_(mask, 0.0)


def log_size_bias(size: Tensor, dtype: torch.dtype) -> Tensor:
    """Proportional attention: log(size) for each key, -inf for padding: [B, 1, 1, T].

    Args:
        size: [B, T] float32, patches that a token stands for; 0 for padding.
    """
    bias = size.to(torch.promote_types(size.dtype, dtype)).log()[:, None, None, :]
    return _hidden(bias, dtype).copy_(bias)


def _hidden(like: Tensor, dtype: torch.dtype) -> Tensor:
    """-inf of that shape. In memory rows are aligned, and what they are filled up with is -inf."""
    keys = like.shape[-1]
    width = -(-keys // ALIGNMENT) * ALIGNMENT
    return like.new_full((*like.shape[:-1], width), -torch.inf, dtype=dtype)[..., :keys]
