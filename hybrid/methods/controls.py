"""What every method has to beat at its budget: chance, the worst tokens, a grid, and averages.

Many published rules do not (UniPruneBench, https://arxiv.org/abs/2511.02650).
"""

from dataclasses import dataclass
from math import isqrt
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from hybrid.config import Keep
from hybrid.methods.fastv import FastV
from hybrid.pruning import random_scores
from hybrid.stages import Choice, HandOverStage, Read, Seen, top, whole


@dataclass(frozen=True)
class Random(HandOverStage):
    """Slots by a hash of patch and prompt, so that a sample's draw ignores its neighbours."""

    def choose(self, seen: Seen) -> Choice:
        visual = seen.visual
        scores = random_scores(visual.position, seen.seed())
        return top(scores, visual.valid, self.slots_of(visual.valid.shape[1]))


@dataclass(frozen=True)
class RandomInside:
    """The same in front of a layer: what FastV's place is worth without FastV's rule."""

    keep: Keep
    layer: int = 3

    def scores(self, read: Read) -> Tensor:
        return random_scores(read.standing.position, read.seed())


@dataclass(frozen=True)
class Lowest(FastV):
    """FastV turned round: the least attended tokens stay. keep: tokens that stay."""

    def scores(self, read: Read) -> Tensor:
        return -super().scores(read)


@dataclass(frozen=True)
class Grid(HandOverStage):
    """Each k-th patch of each k-th row, with the smallest k that `keep` allows: 144, 64 or 36 of
    24 x 24."""

    by_patch: ClassVar[bool] = True

    def every(self, high: int, wide: int) -> int:
        """k."""
        room = self.keep.of(high * wide)
        steps = range(1, max(high, wide))
        allowed = (k for k in steps if len(range(0, high, k)) * len(range(0, wide, k)) <= room)
        return next(allowed, max(high, wide))

    def slots_of(self, slots: int) -> int:
        return self.slots_in((isqrt(slots), isqrt(slots)))

    def slots_in(self, grid: tuple[int, int]) -> int:
        every = self.every(*grid)
        return len(range(0, grid[0], every)) * len(range(0, grid[1], every))

    def choose(self, seen: Seen) -> Choice:
        (high, wide), device = seen.grid, seen.visual.position.device
        every = self.every(high, wide)
        rows = torch.arange(0, high, every, device=device)
        columns = torch.arange(0, wide, every, device=device)
        slot = (rows[:, None] * wide + columns).flatten().expand(len(seen.visual.valid), -1)
        return whole(slot)


@dataclass(frozen=True)
class Pool(HandOverStage):
    """Means over windows, as many as `keep` allows, in rows and columns as the image has; each
    stands at its first patch."""

    by_patch: ClassVar[bool] = True

    def windows(self, high: int, wide: int) -> tuple[int, int]:
        """How many, high and wide, of the image's own shape."""
        kept = self.keep.of(high * wide)
        rows = max(1, isqrt(kept * high // wide))
        return rows, max(1, min(isqrt(kept * wide // high), kept // rows))

    def slots_of(self, slots: int) -> int:
        return isqrt(self.keep.of(slots)) ** 2

    def slots_in(self, grid: tuple[int, int]) -> int:
        rows, columns = self.windows(*grid)
        return rows * columns

    def choose(self, seen: Seen) -> Choice:
        (high, wide), features = seen.grid, seen.visual.features
        rows, columns = self.windows(high, wide)
        image = features.transpose(1, 2).reshape(len(features), -1, high, wide)
        pooled = adaptive_avg_pool2d(image, (rows, columns)).flatten(2).transpose(1, 2)
        row = torch.arange(rows, device=features.device) * high // rows
        column = torch.arange(columns, device=features.device) * wide // columns
        slot = row[:, None] * wide + column
        slot = slot.flatten().expand(len(features), -1)
        return whole(slot, pooled)
