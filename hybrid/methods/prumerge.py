"""PruMerge+: the patches that CLS attends to by far the most, a grid beside them, the rest merged.

https://arxiv.org/abs/2403.15388; queries and keys of the block behind the last one that is read,
without a split into heads. Outliers stay: attention above the third quartile by more than one and a
half times the distance between the quartiles. Each token that stays adds the 32 patches with the
keys most like its own, weighted by attention (not normalised, in the code); one token more is the
sum of all that were dropped. Differs from the authors' code: how many patches are outliers is
counted for each image, not over the batch; the grid is as fine as `keep` allows, over the patches
that are no outliers, so that every image has as many tokens; tokens stand in raster order at their
own positions, the one of the dropped at the most attended of them; a budget of all patches leaves
them as they are.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from hybrid.merging import at_least_float32, rows
from hybrid.stages import Choice, HandOverStage, Seen, whole

NEAREST = 32


@dataclass(frozen=True)
class PruMerge(HandOverStage):
    """keep: tokens that are handed on, the one of all that were dropped among them."""

    by_patch: ClassVar[bool] = True
    asks_tower: ClassVar[bool] = True

    def choose(self, seen: Seen) -> Choice:
        features = at_least_float32(seen.visual.features)  # [B, P, D]
        batch, patches, _ = features.shape
        kept = self.slots_of(patches)
        index = torch.arange(patches, device=features.device)
        if kept == patches:
            return whole(index.expand(batch, -1))
        attention, keys = (at_least_float32(each) for each in seen.beyond())
        stays = staying(attention, kept - 1)
        dropped = attention.masked_fill(stays, 0.0)
        most = attention.masked_fill(stays, float("-inf")).argmax(dim=1, keepdim=True)
        handed = stays.scatter(1, most, True)
        slot = torch.where(handed, index, patches).sort(dim=1).values[:, :kept]

        unit = torch.nn.functional.normalize(keys, dim=2)
        alike = rows(unit, slot) @ unit.transpose(1, 2)  # [B, K, P]
        alike = alike.masked_fill(slot[..., None] == index, float("-inf"))
        order = alike.argsort(dim=2, descending=True, stable=True)
        near = torch.zeros_like(alike).scatter(2, order[..., : min(NEAREST, patches - 1)], 1.0)
        is_rest = (slot == most)[..., None]
        weight = torch.where(is_rest, dropped[:, None], near * attention[:, None])
        own = rows(features, slot).masked_fill(is_rest, 0.0)
        return whole(slot, (own + weight @ features).to(seen.visual.features.dtype))


def staying(attention: Tensor, count: int) -> Tensor:
    """`count` patches of each image: outliers first, the others spread evenly. [B, P] -> bool."""
    patches = attention.shape[1]
    order = attention.argsort(dim=1, descending=True, stable=True)
    ranked = attention.gather(1, order)
    low, high = _part(ranked, 3, 4), _part(ranked, 1, 4)  # of a descending row
    outliers = (ranked > high + 1.5 * (high - low)).sum(dim=1, keepdim=True).clamp(max=count)
    rank = order.argsort(dim=1)
    stays = rank < outliers
    # Of the others, each whose multiple of `wanted` steps over a multiple of their number.
    place, others, wanted = (~stays).cumsum(dim=1) - 1, patches - outliers, count - outliers
    return stays | ((place * wanted) % others < wanted)


def _part(ranked: Tensor, part: int, of: int) -> Tensor:
    """[B, 1], what stands at `part` / `of` of the way through ranked [B, P], between two if so."""
    last = ranked.shape[1] - 1
    place, over = divmod(part * last, of)
    here, there = ranked[:, place], ranked[:, min(place + 1, last)]
    return torch.lerp(here, there, over / of)[:, None]
