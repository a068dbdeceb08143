"""FastV: rank visual tokens by the last prompt token's attention and keep the best.

https://arxiv.org/abs/2403.06764, section 4. The paper's text averages over all queries; its code,
which this follows, takes the last row. That one row is computed here from the layer's own queries
and keys, so the layer itself still runs fused attention and no [S, S] matrix exists.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from hybrid.config import Keep, RankMode
from hybrid.merging import at_least_float32
from hybrid.rope import interleave


def last_row_scores(query: Tensor, key: Tensor, valid: Tensor, scaling: float) -> Tensor:
    """The last token's attention row, averaged over heads: [B, R], sums to 1.

    Float32 or wider: half precision would tie what is not equal.

    Args:
        query: [B, H, 1, C] after RoPE, of the last valid prompt token of each sample.
        key: [B, G, R, C] after RoPE; G divides H (grouped-query attention).
        valid: [B, R] bool; padding gets no attention and score 0.
        scaling: usually 1 / sqrt(C).
    """
    batch, heads, _, width = query.shape
    groups = key.shape[1]
    query = at_least_float32(query).reshape(batch, groups, heads // groups, width)
    logits = query @ at_least_float32(key).transpose(2, 3) * scaling  # [B, G, H/G, R]
    logits = logits.masked_fill(~valid[:, None, None, :], float("-inf"))
    return logits.softmax(dim=-1).mean(dim=(1, 2))


def random_scores(position: Tensor, seed: Tensor) -> Tensor:
    """Scores that have nothing to do with the image: a hash of patch and prompt, [B, N] float32.

    Args:
        position: [B, N] int64, representative patches.
        seed: [B] int64, one number a prompt, so that a sample's draw ignores its neighbours.
    """
    mixed = ((position + 1) * 0x9E3779B1 + seed[:, None] * 0x85EBCA6B) & 0xFFFFFFFF
    for multiplier in (0x7FEB352D, 0x846CA68B):  # the finaliser of a 32-bit integer hash
        mixed = ((mixed ^ (mixed >> 16)) * multiplier) & 0xFFFFFFFF
    return (mixed ^ (mixed >> 15)).float()


def rank_scores(scores: Tensor, position: Tensor, seed: Tensor, rank: RankMode) -> Tensor:
    """What the top-k runs on: the attention itself, or one of the two controls."""
    if rank == "random":
        return random_scores(position, seed)
    return -scores if rank == "lowest" else scores


class Kept(NamedTuple):
    """The visual slots that stay.

    Attributes:
        slot: [B, K] int64, ascending; entries past the sample's own count repeat slot 0.
        valid: [B, K] bool, False past the sample's own count.
    """

    slot: Tensor
    valid: Tensor


def keep_counts(keep: Keep, slots: int) -> list[int]:
    """How many of 0, 1, ..., N = `slots` visual tokens are kept, exactly: N + 1 counts."""
    return [keep.of(present) if present else 0 for present in range(slots + 1)]


def keep_top(scores: Tensor, valid: Tensor, counts: Tensor, budget: int) -> Kept:
    """Keep the best visual tokens of each sample, in ascending order of slot.

    Slots stand in raster order of their representatives, so ties go to the lower position.

    Args:
        scores: [B, N] float32.
        valid: [B, N] bool.
        counts: [N + 1] int64, `keep_counts` on the device: a share is taken of each sample's own
            number of valid tokens.
        budget: K, the largest of `counts`, known to the host.
    """
    slots = scores.shape[1]
    order = scores.masked_fill(~valid, float("-inf")).argsort(dim=1, descending=True, stable=True)
    count = counts[valid.sum(dim=1)][:, None]
    chosen = torch.arange(budget, device=scores.device) < count  # [B, K]
    slot = torch.where(chosen, order[:, :budget], slots).sort(dim=1).values
    stays = slot < slots
    return Kept(slot.masked_fill(~stays, 0), stays)


class Allowance(NamedTuple):
    """How many of its visual slots a sample keeps.

    Attributes:
        counts: [N + 1] int64, `keep_counts` on the device.
        budget: K, the most that a sample keeps, known to the host.
        image: [B, N] int64, which of its prompt's images a slot is of, where each image has a
            budget of its own; else None, and the budget is the prompt's.
        images: C, the most that a prompt has.
    """

    counts: Tensor
    budget: int
    image: Tensor | None = None
    images: int = 1

    def of_images(self, present: Tensor) -> Tensor:
        """Of each of C images, or of the prompt as of one: [B, C] int64. present: [B, N] bool."""
        if self.image is None:
            return self.counts[present.sum(dim=1)][:, None]
        numbers = torch.arange(self.images, device=present.device)
        here = (self.image[..., None] == numbers) & present[..., None]
        return self.counts[here.sum(dim=1)]

    def of_prompt(self, present: Tensor) -> Tensor:
        """Of the whole prompt: [B] int64."""
        of_images = self.of_images(present)
        return of_images[:, 0] if self.image is None else of_images.sum(dim=1)

    def keep(self, scores: Tensor, present: Tensor) -> Kept:
        """The best of scores [B, N], in ascending order of slot."""
        if self.image is None:
            return keep_top(scores, present, self.counts, self.budget)
        slots, hidden = scores.shape[1], scores.masked_fill(~present, float("-inf"))
        order = hidden.argsort(dim=1, descending=True, stable=True)
        numbers = torch.arange(self.images, device=scores.device)
        image = self.image.gather(1, order)  # [B, N], the best slot's first
        rank = (image[..., None] == numbers).cumsum(dim=1).gather(2, image[..., None])[..., 0]
        chosen = (rank <= self.of_images(present).gather(1, image)) & present.gather(1, order)
        slot = torch.where(chosen, order, slots).sort(dim=1).values[:, : self.budget]
        return Kept(slot.masked_fill(slot == slots, 0), slot < slots)


class Cutting(NamedTuple):
    """How a sequence of R tokens, N of them visual, is cut to R - N + K.

    Attributes:
        source: [B, R - N + K] int64, the token of the sequence that is left here.
        stays: [B, R - N + K] bool, False for padding that a sample with fewer than K is left with.
        place: [B, K] int64, where the kept slots stand behind the cut.
    """

    source: Tensor
    stays: Tensor
    place: Tensor


def kept_index(kept: Kept, place: Tensor, length: int) -> Cutting:
    """Cut a sequence of `length` tokens down to its text and the kept slots.

    Args:
        kept: K slots a sample.
        place: [B, N] int64, where the visual slots stand, rising.
    """
    slots = place.shape[1]
    before = place - torch.arange(slots, device=place.device)  # text tokens in front of each slot
    # What is past a sample's own count repeats slot 0, and stands behind what it follows.
    left = interleave(before.gather(1, kept.slot).cummax(dim=1).values, length - slots)
    text = left.text + torch.searchsorted(before, left.text, right=True)
    visual = place.gather(1, kept.slot).gather(1, left.visual_slot)
    stays = kept.valid.gather(1, left.visual_slot) | ~left.is_visual
    return Cutting(torch.where(left.is_visual, visual, text), stays, left.place)
