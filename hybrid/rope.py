"""Logical RoPE mapping: which place of the unreduced sequence each token of the reduced one has.

A reduced sequence reads `text before | N visual slots | text after`. Its tokens keep the position
ids they would have had among all P patches: a visual token that of its representative patch, the
text behind the image continues from P patches and not from N.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from hybrid.merging import at_least_float32


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


def consecutive_position_ids(valid: Tensor) -> Tensor:
    """Position ids [B, L] int64 that number the valid tokens 0..n-1.

    Of the unreduced sequence these are the logical ones, to be read at `Layout.source`; of a
    reduced sequence they are what a naive port uses (`rope="compact"`).
    """
    return (valid.long().cumsum(dim=1) - 1).clamp(min=0)


class Unmerging(NamedTuple):
    """DyMU's virtual unmerging: attention over every patch position with merged tokens' values.

    https://arxiv.org/abs/2504.17040, section 3.2.

    Attributes:
        token: [B, S] int64, which token of the reduced sequence stands at each unreduced place.
        share: [B, R, S], 1 / (places of the token) where it stands and 0 elsewhere, so that
            share @ attended [B, H, S, C] is the mean over each token's places.
    """

    token: Tensor
    share: Tensor

    def expand(self, heads: Tensor) -> Tensor:
        """[B, H, R, C] -> [B, H, S, C]."""
        batch, count, _, width = heads.shape
        index = self.token[:, None, :, None].expand(batch, count, -1, width)
        return heads.gather(2, index)

    def merge(self, heads: Tensor) -> Tensor:
        """[B, H, S, C] -> [B, H, R, C], the mean over each token's places."""
        wide = at_least_float32(heads)
        return (self.share[:, None].to(wide.dtype) @ wide).to(heads.dtype)


def unmerging(
    places: Layout, is_image: Tensor, owner: Tensor, slots: int, dtype: torch.dtype
) -> Unmerging:
    """The mapping between a reduced sequence and its unreduced places.

    Args:
        places: of the reduced sequence.
        is_image: [B, S] bool, the image placeholders.
        owner: [B, P] int64, the visual slot of each patch.
        slots: N.
        dtype: of what is attended to; shares are as precise, and float32 at least.
    """
    patches = owner.shape[1]
    index = torch.arange(is_image.shape[1], device=owner.device)
    behind_first = index - places.first[:, None]  # [B, S]
    patch = behind_first.clamp(0, patches - 1)
    text = torch.where(behind_first < 0, index, index - (patches - slots))
    visual = places.first[:, None] + owner.gather(1, patch)
    token = torch.where(is_image, visual, text)
    reduced = torch.arange(places.source.shape[1], device=owner.device)
    stands = token[:, None, :] == reduced[:, None]  # [B, R, S]
    stands = stands.to(torch.promote_types(dtype, torch.float32))
    return Unmerging(token, stands / stands.sum(dim=2, keepdim=True).clamp(min=1.0))
