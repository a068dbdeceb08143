"""FEATHER: rank without RoPE's pull to the end of the image, and keep a grid beside the best.

https://arxiv.org/abs/2412.13180; its code is for another model family, and has no results on
LLaVA-1.5. The criterion is the last token's query against the image's keys only, both before RoPE.
Differs from that code: the number of tokens is fixed, the grid's first and then the best, where
theirs is the union of both. As in the code, and not as its comment says, the second stage ranks the
grid's tokens like any other.
"""

from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from hybrid.config import Keep
from hybrid.pruning import last_row_scores
from hybrid.stages import Read


@dataclass(frozen=True)
class Feather:
    """keep: tokens behind its second stage; the first leaves three times as many, its grid among
    them."""

    keep: Keep

    def stages(self, layers: int) -> tuple["FeatherStage", ...]:
        """In front of a quarter and of half of the layers."""
        first = self.keep
        if self.keep.prunes:
            count = self.keep.count
            first = Keep(count=3 * count) if count else Keep(removed=Fraction(7, 10))
        early = max(1, layers // 4)
        return (
            FeatherStage(early, first, every=3),
            FeatherStage(max(early + 1, layers // 2), self.keep),
        )


@dataclass(frozen=True)
class FeatherStage:
    """One of its stages. every: the grid's step, 0 for none."""

    layer: int
    keep: Keep
    every: int = 0

    def scores(self, read: Read) -> Tensor:
        query, key = read.unrotated()
        keys = read.of_image(key.transpose(1, 2)).transpose(1, 2)  # [B, G, N, C]
        scores = last_row_scores(query[:, :, -1:], keys, read.standing.present, read.scaling)
        if not self.every:
            return scores
        row, column = read.cells().unbind(dim=-1)
        on_grid = (row % self.every == 0) & (column % self.every == 0)
        return torch.where(on_grid, scores + 1, scores)
