"""The small untrained LLaVA that equivalence tests run on, and batches for it."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any, Literal, get_args

import pytest

from bench.arms.untrained import Batch, Shape, batch_of, untrained_llava
from hybrid import HybridConfig
from hybrid.config import PruneMode, RankMode, RopeMode

SHAPE = Shape()
PATCHES, IMAGE_TOKEN = SHAPE.patches, SHAPE.image_token
VISION_BLOCKS = SHAPE.vision_layers

# Text tokens before and after the image. Each prompt is longer than the one before it.
PROMPTS = [(4, 6), (3, 8), (2, 13), (9, 10)]
# Where the longest prompts stand, which are not padded: in one place, at both ends, everywhere.
Longest = Literal["last", "first", "inside", "ends", "all"]
PLACES: tuple[Longest, ...] = get_args(Longest)
EITHER_WAY = pytest.mark.parametrize("longest", ["first", "last"], ids="longest-{}".format)


def random_llava(*, groups: int = 4, layers: int = 5) -> Any:
    """6 x 6 patches, 4 CLIP blocks, `layers` Llama layers with `groups` key-value heads of 4."""
    return untrained_llava(Shape(key_value_heads=groups, text_layers=layers))


def batch(size: int, longest: Longest = "last") -> Batch:
    """Prompts of different lengths, the image at different places; all but the longest are padded.

    What must hold for every batch is tested `EITHER_WAY`, or with all `PLACES` `in_turns`: whoever
    asks the first row alone is wrong if it is the longest, whoever asks the last one if that is,
    whoever asks both if they are, and sometimes no row is padded. The images are always the same.
    """
    given = batch_of(SHAPE, PROMPTS[:size])
    rows, texts = [*range(size)], PROMPTS[:size]
    if longest == "first":
        rows.reverse()
    elif longest == "inside":
        rows.insert(size // 2, rows.pop())
    for row in {"ends": [0], "all": rows}.get(longest, []):
        before, _ = texts[row]
        texts[row] = before, sum(texts[-1]) - before
    longer = batch_of(SHAPE, texts)
    return in_order(replace(longer, pixel_values=given.pixel_values), rows)


def in_turns(case: int) -> Longest:
    """One of `PLACES` for a case of a matrix: each value of each of its settings meets several."""
    return PLACES[(case + case // len(PLACES)) % len(PLACES)]


def in_order(given: Batch, rows: Sequence[int]) -> Batch:
    """The same samples, padded as they were, in another order."""
    return Batch(*(tensor[[*rows]] for tensor in vars(given).values()))


def every_config() -> list[HybridConfig]:
    """Of `random_llava`: nothing reduced, merging alone, and pruning in every mode there is."""
    merging = (0.6, 0.5, 0.4, 1.0)
    modes = product((None, merging), *map(get_args, (RopeMode, PruneMode, RankMode)))
    return [
        HybridConfig(),
        HybridConfig(thresholds=merging, rope="virtual"),
        HybridConfig(
            keep=5, aggregation_layer=1, thresholds=merging, schedule=(30, 21, 12, 12), capacity=9
        ),
        *(
            HybridConfig(
                keep=5,
                aggregation_layer=1,
                thresholds=thresholds,
                rope=rope,
                prune=prune,
                rank=rank,
            )
            for thresholds, rope, prune, rank in modes
            if rope != "virtual"
        ),
    ]


__all__ = [
    "EITHER_WAY",
    "IMAGE_TOKEN",
    "PATCHES",
    "PLACES",
    "SHAPE",
    "VISION_BLOCKS",
    "Batch",
    "Longest",
    "batch",
    "every_config",
    "in_order",
    "in_turns",
    "random_llava",
]
