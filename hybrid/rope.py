"""Logical RoPE mapping: which place of the unreduced sequence each token of the reduced one has.

A reduced sequence reads `text before | N visual slots | text after`. Its tokens keep the position
ids they would have had among all P patches: a visual token that of its representative patch, the
text behind the image continues from P patches and not from N.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Layout(NamedTuple):
    """Where the tokens of a reduced sequence of length R = S - P + N come from.

    Attributes:
        visual_slot: [B, R] int64, the visual slot that stands here (0 where text stands).
        is_visual: [B, R] bool.
        source: [B, R] int64, the index in the unreduced sequence [B, S] that this token stands
            for: itself for text, the representative patch for a visual token.
        first: [B] int64, where the image starts, in the reduced and the unreduced sequence alike.
    """

    visual_slot: Tensor
    is_visual: Tensor
    source: Tensor
    first: Tensor


def layout(is_image: Tensor, position: Tensor, patches: int) -> Layout:
    """Lay out text and visual slots.

    Args:
        is_image: [B, S] bool, the image placeholders: one run of `patches` in each row.
        position: [B, N] int64, the representative patch of each visual slot.
        patches: P, image placeholders per image.
    """
    slots = position.shape[1]
    first = is_image.int().argmax(dim=1)  # [B]
    index = torch.arange(is_image.shape[1] - patches + slots, device=is_image.device)
    behind_first = index - first[:, None]  # [B, R]
    is_visual = (behind_first >= 0) & (behind_first < slots)
    visual_slot = torch.where(is_visual, behind_first, 0)
    text = torch.where(behind_first < 0, index, index + (patches - slots))
    representative = first[:, None] + position.gather(1, visual_slot)
    return Layout(visual_slot, is_visual, torch.where(is_visual, representative, text), first)


def logical_position_ids(attention_mask: Tensor, source: Tensor) -> Tensor:
    """Position ids [B, R] int64 that tokens have in the unreduced, left-padded sequence.

    Args:
        attention_mask: [B, S], 0 for padding.
        source: [B, R], see `Layout`.
    """
    unreduced = (attention_mask.long().cumsum(dim=1) - 1).clamp(min=0)
    return unreduced.gather(1, source)


def compact_position_ids(valid: Tensor) -> Tensor:
    """Position ids [B, R] int64 that number the valid tokens 0..n-1, for ablation."""
    return (valid.long().cumsum(dim=1) - 1).clamp(min=0)


def causal_mask(valid: Tensor) -> Tensor:
    """Which keys [.., k] a query [.., q, :] may attend to: [B, 1, R, R] bool.

    A padding query attends to itself, so that no softmax runs over nothing and gives NaN.
    """
    length = valid.shape[1]
    ones = torch.ones(length, length, dtype=torch.bool, device=valid.device)
    return ((ones.tril() & valid[:, None, :]) | ones.tril().logical_and(ones.triu()))[:, None]
