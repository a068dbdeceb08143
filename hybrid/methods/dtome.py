"""DyMU's DToMe: in each block, pairs that are more alike than the block's threshold merge.

https://arxiv.org/abs/2504.17040, section 3.1. How many tokens an image keeps depends on the image;
`capacity` bounds it behind the tower, and `schedule`, which is not in the paper, behind each block.
With a schedule the tensors become shorter from block to block, and the tower faster.
"""

from dataclasses import dataclass, replace
from math import ceil, log2

import torch
from torch import Tensor

from hybrid.config import ConfigError
from hybrid.merging import Tokens, merge


@dataclass(frozen=True)
class DToMe:
    """Merges by thresholds, and further where there is no room.

    Attributes:
        thresholds: a cosine for each block of the tower.
        capacity: visual slots that are handed on, None for one a patch.
        schedule: visual slots behind each block, None for one a patch. Where more tokens are left
            than that, the most similar pairs merge below the threshold; `Tokens.forced` counts
            them.
    """

    thresholds: tuple[float, ...]
    capacity: int | None = None
    schedule: tuple[int, ...] | None = None

    def fitted(self, patches: int, blocks: int, read: int) -> "DToMe":
        if len(self.thresholds) != blocks:
            raise ConfigError(
                f"thresholds has {len(self.thresholds)} values, but this tower has {blocks} CLIP "
                "blocks: give one per block (python -m hybrid.calibrate makes them)"
            )
        if self.schedule is None:
            return self
        if len(self.schedule) != blocks:
            raise ConfigError(
                f"schedule has {len(self.schedule)} sizes, but this tower has {blocks} CLIP "
                "blocks: give one per block (python -m hybrid.calibrate proposes them)"
            )
        before = patches
        for block, slots in enumerate(self.schedule):
            if not ceil(before / 2) <= slots <= before:
                raise ConfigError(
                    f"schedule leaves {slots} of {before} visual tokens behind block {block}: a "
                    f"block can leave {ceil(before / 2)} to {before} of so many"
                )
            before = slots
        return replace(self, schedule=self.schedule[:read])

    def slots_of(self, patches: int) -> int:
        left = self._sizes(patches)[-1]
        return min(self.capacity or left, left)

    def merge(self, block: int, tokens: Tokens, keys: Tensor) -> Tokens:
        metric = keys.mean(dim=1)  # [B, T, C]
        threshold = self.thresholds[block]
        if self.schedule is None:
            return merge(tokens, metric, threshold)
        if tokens.forced is None:
            none = torch.zeros(len(metric), dtype=torch.long, device=metric.device)
            tokens = replace(tokens, forced=none)
        slots = 1 + self.schedule[block]  # with CLS
        if slots == tokens.size.shape[1]:
            return merge(tokens, metric, threshold)
        return merge(tokens, metric, threshold, slots).first(slots)

    def finish(self, tokens: Tokens, patches: int) -> Tokens:
        """Merge the most similar tokens below threshold until `capacity` and CLS are left.

        A step can at most halve the tokens, so their number of steps follows from the shapes.
        """
        slots, capacity = self._sizes(patches)[-1], self.slots_of(patches)
        if capacity < slots:
            forced, tokens = tokens.forced, replace(tokens, forced=None)  # by the schedule alone
            for _ in range(ceil(log2(slots / capacity)) + 1):
                tokens = merge(tokens, tokens.features, float("inf"), capacity + 1)
            tokens = replace(tokens, forced=forced)
        return tokens

    def _sizes(self, patches: int) -> tuple[int, ...]:
        """Visual slots in front of the tower, and behind each block that is read."""
        return patches, *(self.schedule or ())
