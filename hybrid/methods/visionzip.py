"""VisionZip: the patches that CLS attends to, and the rest merged into a few.

https://arxiv.org/abs/2412.04467; attention and keys of the last block that is read. Differs from
the authors' code: CLS itself is not handed on, since it has no place in the image (its place goes
to one more patch); tokens stand in raster order at their own positions, not renumbered; no class is
patched, so other towers stay as they are.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch

from hybrid.merging import at_least_float32, rows
from hybrid.stages import Choice, HandOverStage, Seen, whole


@dataclass(frozen=True)
class VisionZip(HandOverStage):
    """keep: tokens that are handed on. contextual: how many of them the others merge into; the
    paper's share, 10 of 64, if not given."""

    contextual: int | None = None
    by_patch: ClassVar[bool] = True
    asks_tower: ClassVar[bool] = True

    def choose(self, seen: Seen) -> Choice:
        features, kept = seen.visual.features, self.slots_of(seen.visual.valid.shape[1])
        order = seen.attention().sum(dim=1).argsort(dim=1, descending=True, stable=True)
        contextual = round(kept * 10 / 64) if self.contextual is None else self.contextual
        dominant = kept - min(contextual, kept)
        best = order[:, :dominant]
        rest = order[:, dominant:].sort(dim=1).values  # raster order, [B, M]
        targets = kept - dominant
        own = rows(features, best)
        if not targets:
            slot, place = best.sort(dim=1)
            return whole(slot, rows(own, place))

        step = max(1, rest.shape[1] // targets)
        is_target = torch.arange(rest.shape[1], device=rest.device) % step == 0
        is_target &= torch.arange(rest.shape[1], device=rest.device) < step * targets
        at = rest[:, ::step][:, :targets]
        metric = torch.nn.functional.normalize(at_least_float32(seen.keys()).mean(dim=1), dim=-1)
        alike = rows(metric, rest) @ rows(metric, at).transpose(1, 2)  # [B, M, targets]
        into = torch.nn.functional.one_hot(alike.argmax(dim=2), targets)
        into = into.masked_fill(is_target[:, None], 0).to(metric.dtype).transpose(1, 2)
        total = into @ at_least_float32(rows(features, rest))
        mean = total / into.sum(dim=2, keepdim=True).clamp(min=1)
        merged = rows(features, at) + mean.to(features.dtype)
        slot, place = torch.cat([best, at], dim=1).sort(dim=1)
        return whole(slot, rows(torch.cat([own, merged], dim=1), place))
