"""DART: the tokens that repeat least what a few pivots say.

https://arxiv.org/abs/2502.11494; pivots are the image's and the text's tokens with the largest keys
of the layer above, duplication is the cosine to a pivot behind the final norm. No attention is
needed. As in the authors' code the image's pivots stay, too, so that 4 + 8 t tokens are left; their
order of pivots is that of a Python set, here it is by size.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from hybrid.config import Keep
from hybrid.merging import at_least_float32, rows
from hybrid.stages import Read

PIVOTS = 4  # of the image, and as many of the text behind it


@dataclass(frozen=True)
class Dart:
    """keep: tokens that stay, 4 + 8 t by the rule and what is over by place."""

    keep: Keep
    layer: int = 2

    def scores(self, read: Read) -> Tensor:
        standing = read.standing
        sizes = at_least_float32(read.key).abs().sum(dim=(1, 3))  # [B, R], L1 over all heads
        hidden = torch.nn.functional.normalize(at_least_float32(read.normed(read.hidden)), dim=-1)
        image = read.of_image(hidden)  # [B, N, D]
        slots = image.shape[1]
        ours = read.of_image(sizes).masked_fill(~standing.present, float("-inf"))
        pivots = ours.argsort(dim=1, descending=True, stable=True)[:, : min(PIVOTS, slots)]
        index = torch.arange(sizes.shape[1], device=sizes.device)
        behind = (index > standing.place[:, -1:]) & read.valid
        text = sizes.masked_fill(~behind, float("-inf")).argsort(
            dim=1, descending=True, stable=True
        )
        asked = torch.cat([rows(image, pivots), rows(hidden, text[:, :PIVOTS])], dim=1)
        alike = asked @ image.transpose(1, 2)  # [B, 8, N]

        scores = ours.new_zeros(ours.shape).scatter(1, pivots, 2.0)
        each = (read.count()[:, None] - PIVOTS).clamp(min=0) // (2 * PIVOTS)  # [B, 1]
        taken = (torch.arange(slots, device=each.device) < each).to(scores.dtype)  # [B, N]
        for row in alike.unbind(dim=1):
            free = (scores == 0) & standing.present
            least = row.masked_fill(~free, float("inf")).argsort(dim=1, stable=True)
            scores = scores.scatter_reduce(1, least, taken, "amax")
        return scores
