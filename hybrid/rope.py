"""Logical RoPE mapping: which place of the unreduced sequence each token of the reduced one has.

A prompt is text with placeholders of its images in it, in one run or several. A reduced one has N
visual slots among its text instead of V placeholders. Its tokens keep the position ids they would
have had in the unreduced one: a visual token that of its representative, and the text behind an
image continues from its placeholders and not from what is left of them. What a position id is, one
number or an axis each for time, height and width, does not matter here: it is gathered.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from hybrid.merging import at_least_float32


class Spots(NamedTuple):
    """Where text and placeholders stand in unreduced prompts [B, S].

    Attributes:
        text: [B, T] int64, the index of each text token, padding among them.
        image: [B, V] int64, the index of each placeholder; past a prompt's own count anything.
        before: [B, V] int64, how many of the T text tokens stand in front of each, never falling.
    """

    text: Tensor
    image: Tensor
    before: Tensor


def spots_of(is_image: Tensor, placeholders: int, texts: int | None = None) -> Spots:
    """Find text and placeholders; nothing waits for the device.

    Args:
        is_image: [B, S] bool.
        placeholders: V, the most that a prompt has.
        texts: T, how many text tokens are taken of each prompt, its last ones, so that what is left
            out is padding; S - V if not given, which is all of them where each prompt has V.
    """
    length = is_image.shape[1]
    texts = length - placeholders if texts is None else texts
    order = is_image.int().argsort(dim=1, stable=True)  # text first, both as they stand
    count = is_image.sum(dim=1, keepdim=True)  # [B, 1]
    skipped = length - count - texts
    text = order.gather(1, skipped + torch.arange(texts, device=is_image.device))
    nth = torch.arange(placeholders, device=is_image.device)
    image = order.gather(1, (length - count + nth).clamp(max=length - 1))
    before = (image - nth - skipped).masked_fill(nth >= count, 0).cummax(dim=1).values
    return Spots(text, image, before)


class Interleaved(NamedTuple):
    """T text tokens with N slots among them: R = T + N places.

    Attributes:
        place: [B, N] int64, where each slot stands.
        is_visual: [B, R] bool.
        visual_slot: [B, R] int64, the slot that stands here (0 where text stands).
        text: [B, R] int64, which text token stands here (any where a slot does).
    """

    place: Tensor
    is_visual: Tensor
    visual_slot: Tensor
    text: Tensor


def interleave(before: Tensor, texts: int) -> Interleaved:
    """Put N slots between T = `texts` text tokens.

    Args:
        before: [B, N] int64, text tokens in front of each slot, never falling.
    """
    batch, slots = before.shape
    length = texts + slots
    place = before + torch.arange(slots, device=before.device)
    is_visual = torch.zeros(batch, length, dtype=torch.bool, device=before.device)
    is_visual = is_visual.scatter(1, place, True)
    through = is_visual.cumsum(dim=1)  # slots up to here, this place included
    visual_slot = (through - 1).masked_fill(~is_visual, 0)
    text = (torch.arange(length, device=before.device) - through).masked_fill(is_visual, 0)
    return Interleaved(place, is_visual, visual_slot, text)


class Layout(NamedTuple):
    """Where the tokens of a reduced sequence of length R = T + N come from.

    Attributes:
        visual_slot: [B, R] int64, the visual slot that stands here (0 where text stands).
        is_visual: [B, R] bool.
        source: [B, R] int64, the index in the unreduced sequence [B, S] that this token stands
            for: itself for text, the representative placeholder for a visual token.
        place: [B, N] int64, where each slot stands in the reduced sequence.
    """

    visual_slot: Tensor
    is_visual: Tensor
    source: Tensor
    place: Tensor

    @property
    def first(self) -> Tensor:
        """[B] int64, where the images start, in the reduced and the unreduced sequence alike."""
        return self.place[:, 0]


def layout(spots: Spots, position: Tensor) -> Layout:
    """Lay out text and visual slots.

    Args:
        spots: of the unreduced prompts.
        position: [B, N] int64, which of its prompt's placeholders each visual slot stands for,
            rising; 0 for padding, which stands behind what it follows.
    """
    before = spots.before.gather(1, position).cummax(dim=1).values
    place, is_visual, visual_slot, text = interleave(before, spots.text.shape[1])
    representative = spots.image.gather(1, position).gather(1, visual_slot)
    source = torch.where(is_visual, representative, spots.text.gather(1, text))
    return Layout(visual_slot, is_visual, source, place)


def consecutive_position_ids(valid: Tensor) -> Tensor:
    """Position ids [B, L] int64 that number the valid tokens 0..n-1.

    Of the unreduced sequence these are the logical ones of a model with one axis, to be read at
    `Layout.source`; of a reduced sequence they are what a naive port uses (`rope="compact"`).
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
