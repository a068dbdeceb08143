"""A schedule for the tower: what each block leaves of all images but one in a thousand."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import torch
from torch import Tensor

from hybrid.calibrate.thresholds import batches
from hybrid.calibrate.towers import TowerSource
from hybrid.merging import Tokens
from hybrid.methods.dtome import DToMe
from hybrid.vision import VisionTower

IMAGES_COUNTED = 10_000  # the percentile then stands on ten images
OUT_OF_1000 = 999


class Counting:
    """A tower stage that merges as `merging` does and counts what each block leaves.

    Attributes:
        left: of the last batch, [B] int64 for each block that is read: visual tokens.
    """

    def __init__(self, merging: DToMe) -> None:
        self.merging = merging
        self.left: list[Tensor] = []

    def fitted(self, patches: int, blocks: int, read: int) -> "Counting":
        self.merging = self.merging.fitted(patches, blocks, read)
        return self

    def slots_of(self, patches: int) -> int:
        return self.merging.slots_of(patches)

    def merge(self, block: int, tokens: Tokens, keys: Tensor) -> Tokens:
        tokens = self.merging.merge(block, tokens, keys)
        self.left[block:] = [(tokens.size > 0).sum(dim=1) - 1]  # without CLS
        return tokens

    def finish(self, tokens: Tokens, patches: int) -> Tokens:
        return self.merging.finish(tokens, patches)


@dataclass(frozen=True)
class Live:
    """Visual tokens that each image has left.

    Attributes:
        patches: of an image.
        blocks: of the tower.
        counts: a row an image, a number a block that is read.
    """

    patches: int
    blocks: int
    counts: list[list[int]]

    @property
    def handed_on(self) -> list[int]:
        """What the language model gets of each image."""
        return [row[-1] if row else self.patches for row in self.counts]

    def schedule(self) -> tuple[int, ...]:
        """The 99.9th percentile behind each block; of fewer than 1000 images, the most.

        A block that is not read gets what the last one leaves. No block leaves more than the one
        before it, nor less than half, as each image's counts do.
        """
        rank = ceil(len(self.counts) * OUT_OF_1000 / 1000) - 1
        sizes = [sorted(block)[rank] for block in zip(*self.counts, strict=True)]
        last = sizes[-1] if sizes else self.patches
        return (*sizes, *[last] * (self.blocks - len(sizes)))

    def forced(self, schedule: Sequence[int]) -> float:
        """The share of these images on which a schedule forces a merge."""
        beyond = [any(n > s for n, s in zip(row, schedule, strict=False)) for row in self.counts]
        return sum(beyond) / len(beyond)


@torch.inference_mode()
def count_live(
    source: TowerSource, thresholds: Sequence[float], images: Sequence[Path], batch_size: int
) -> Live:
    """Merge by the thresholds and count, some of the images if they are many, evenly spread."""
    counting = Counting(DToMe(tuple(thresholds)))
    tower = VisionTower(source.tower, source.feature_layer, counting)
    counts: list[list[int]] = []
    for batch in batches(images[:: ceil(len(images) / IMAGES_COUNTED)], batch_size, "count", 0):
        tower(source.pixels(batch))
        rows = torch.stack(counting.left, dim=1).tolist() if counting.left else [[]] * len(batch)
        counts += rows
    return Live(tower.patches, len(thresholds), counts)
