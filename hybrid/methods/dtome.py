"""DyMU's DToMe: in each block, pairs that are more alike than the block's threshold merge.

https://arxiv.org/abs/2504.17040, section 3.1. How many tokens an image keeps depends on the image;
`capacity` bounds it.
"""

from dataclasses import dataclass
from math import ceil, log2

from torch import Tensor

from hybrid.config import ConfigError
from hybrid.merging import Tokens, merge


@dataclass(frozen=True)
class DToMe:
    """thresholds: a cosine for each block of the tower. capacity: visual slots that are handed on,
    None for one a patch."""

    thresholds: tuple[float, ...]
    capacity: int | None = None

    def fitted(self, patches: int, blocks: int, read: int) -> "DToMe":
        if len(self.thresholds) != blocks:
            raise ConfigError(
                f"thresholds has {len(self.thresholds)} values, but this tower has {blocks} CLIP "
                "blocks: give one per block (python -m hybrid.calibrate makes them)"
            )
        return self

    def merge(self, block: int, tokens: Tokens, keys: Tensor) -> Tokens:
        metric = keys.mean(dim=1)  # [B, T, C]
        return merge(tokens, metric, self.thresholds[block])

    def slots_of(self, patches: int) -> int:
        return min(self.capacity or patches, patches)

    def finish(self, tokens: Tokens, patches: int) -> Tokens:
        """Merge the most similar tokens below threshold until `capacity` and CLS are left.

        A step can at most halve the tokens, so their number of steps follows from the shapes.
        """
        capacity = self.slots_of(patches)
        if capacity < patches:
            for _ in range(ceil(log2(patches / capacity)) + 1):
                tokens = merge(tokens, tokens.features, float("inf"), capacity + 1)
        return tokens
