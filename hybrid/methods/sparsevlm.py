"""SparseVLM: words of the question that are close to the image rate its tokens, at three depths.

https://arxiv.org/abs/2410.04417, its first version. Raters are the text tokens behind the image
whose share of the image's similarity, in front of layer 0, is above the mean; a visual token's
score is how much they attend to it in the layer above, the mean over heads. Differs from the
authors' code: what is dropped is not clustered into new tokens, which a stage that ranks cannot
make, so that each stage leaves as many as it says and no more; positions stay, where theirs are
numbered anew; all tokens may stay, where theirs drops one at least. Their second version, which is
not here, makes no new tokens either; it chooses heads, and divides scores by what position alone
would give.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from hybrid.config import Keep
from hybrid.merging import at_least_float32
from hybrid.stages import Read

EARLIER = (4, 2)  # times as many behind the stages before the last; the paper's 66, 30, 17


@dataclass(frozen=True)
class SparseVLM:
    """keep: tokens behind its third stage; the first leaves four times as many, the second twice.
    earlier: their own counts instead, such as the paper's (66, 30) before 17."""

    keep: Keep
    earlier: tuple[int, int] | None = None

    def stages(self, layers: int) -> tuple["SparseStage", ...]:
        """In front of layers 3, 7 and 16 of 32."""
        first = max(1, layers * 3 // 32)
        second = max(first + 1, layers * 7 // 32)
        at = (first, second, max(second + 1, layers // 2))
        return tuple(SparseStage(*stage) for stage in zip(at, self._keeps(), strict=True))

    def _keeps(self) -> Iterator[Keep]:
        if self.earlier:
            yield from (Keep(count=count) for count in self.earlier)
            yield self.keep
            return
        left = Fraction(1)  # the share behind the stage before
        for times in (*EARLIER, 1):
            if self.keep.removed is None:
                yield Keep(self.keep.count and times * self.keep.count)
                continue
            share = min(Fraction(1), times * (1 - self.keep.removed))
            yield Keep(removed=1 - share / left) if share < left else Keep()
            left = share


@dataclass(frozen=True)
class SparseStage:
    """One of its stages."""

    layer: int
    keep: Keep

    def scores(self, read: Read) -> Tensor:
        length, slots = read.hidden.shape[1], read.standing.present.shape[1]
        raters = rating(read, length - slots)
        rows = attention_of_the_last(read, length - slots)  # [B, T, R]
        rated = torch.where(raters[..., None], rows, 0).sum(dim=1)
        return read.of_image(rated / raters.sum(dim=1, keepdim=True).clamp(min=1))


def rating(read: Read, texts: int) -> Tensor:
    """Which of the last `texts` tokens rate, [B, T] bool: of the text behind the image, those that
    the visual tokens in front of layer 0 lean to more than to the mean one; all if none is."""
    prompt, places = read.begun()
    hidden = at_least_float32(prompt.hidden)  # [B, R, D]
    index = torch.arange(hidden.shape[1], device=hidden.device)
    behind = (index > places.first[:, None]) & ~places.is_visual & prompt.valid
    visual, behind = places.is_visual & prompt.valid, behind[:, -texts:]
    alike = hidden @ hidden[:, -texts:].transpose(1, 2)  # [B, R, T]
    alike = alike.masked_fill(~behind[:, None], float("-inf")).softmax(dim=2)
    lean = torch.where(visual[..., None], alike, 0).sum(dim=1)  # the mean's multiple
    mean = lean.sum(dim=1, keepdim=True) / behind.sum(dim=1, keepdim=True)
    raters = behind & (lean > mean)
    return torch.where(raters.any(dim=1, keepdim=True), raters, behind)


def attention_of_the_last(read: Read, texts: int) -> Tensor:
    """The last `texts` tokens' attention in the layer above, its mean over heads: [B, T, R]."""
    query, key = at_least_float32(read.query[:, :, -texts:]), at_least_float32(read.key)
    batch, heads, _, width = query.shape
    groups, length = key.shape[1:3]
    query = query.reshape(batch, groups, heads // groups * texts, width)
    logits = query @ key.transpose(2, 3) * read.scaling
    logits = logits.view(batch, heads, texts, length)
    index = torch.arange(length, device=key.device)
    # A token sees itself, so that a row of padding is not empty; it rates nothing.
    seen = (index < index[-texts:, None]) & read.valid[:, None] | (index == index[-texts:, None])
    return logits.masked_fill(~seen[:, None], float("-inf")).softmax(dim=-1).mean(dim=1)
