"""ToMe: in each block the r most similar pairs merge, whatever the image shows.

https://arxiv.org/abs/2210.09461. The tensors get r tokens shorter in each block, so the tower
itself becomes faster, which a threshold alone does not make it. The merges are spread evenly over
the blocks that are read, as far as a block can: it halves its tokens at most.
"""

from dataclasses import dataclass, replace

from torch import Tensor

from hybrid.config import ConfigError, Keep
from hybrid.merging import Tokens, merge, spread


@dataclass(frozen=True)
class ToMe:
    """keep: tokens that are handed on. merges: r of each block; spread evenly if not given."""

    keep: Keep
    merges: tuple[int, ...] = ()

    def fitted(self, patches: int, blocks: int, read: int) -> "ToMe":
        merges = self.merges or planned(patches, patches - self.keep.of(patches), read)
        left = patches
        for block, count in enumerate(merges):
            if not 0 <= count <= left // 2:
                raise ConfigError(
                    f"keep={self.keep} has block {block} merge {count} of {left} patches: half of"
                    " them can merge at most"
                )
            left -= count
        return replace(self, merges=merges)

    def slots_of(self, patches: int) -> int:
        return patches - sum(self.merges)

    def merge(self, block: int, tokens: Tokens, keys: Tensor) -> Tokens:
        if not self.merges[block]:
            return tokens
        left = tokens.size.shape[1] - self.merges[block]
        return merge(tokens, keys.mean(dim=1), float("inf"), left).first(left)

    def finish(self, tokens: Tokens, patches: int) -> Tokens:
        return tokens


def planned(patches: int, merges: int, blocks: int) -> tuple[int, ...]:
    """So many merges over so many blocks, the first ones taking what is over; more in the first
    ones where an even share would be more than half of what is left."""
    even = spread(merges, blocks)
    if all(count <= (patches - sum(even[:block])) // 2 for block, count in enumerate(even)):
        return even
    for most in range(merges // max(blocks, 1), patches):
        plan: list[int] = []
        for _ in range(blocks):
            left = patches - sum(plan)
            plan.append(min(most, left // 2, merges - sum(plan)))
        if sum(plan) == merges:
            return tuple(plan)
    return even  # refused as too many
