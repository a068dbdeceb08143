"""The small untrained LLaVA that equivalence tests run on, and batches for it."""

from itertools import product
from typing import Any, get_args

from bench.untrained import Batch, Shape, batch_of, untrained_llava
from hybrid import HybridConfig
from hybrid.config import PruneMode, RankMode, RopeMode

SHAPE = Shape()
PATCHES, IMAGE_TOKEN = SHAPE.patches, SHAPE.image_token
VISION_BLOCKS = SHAPE.vision_layers


def random_llava(*, groups: int = 4, layers: int = 5) -> Any:
    """6 x 6 patches, 4 CLIP blocks, `layers` Llama layers with `groups` key-value heads of 4."""
    return untrained_llava(Shape(key_value_heads=groups, text_layers=layers))


def batch(size: int) -> Batch:
    """Prompts of different lengths, the image at different places."""
    return batch_of(SHAPE, [(4, 6), (3, 12), (5, 3), (2, 2)][:size])


def every_config() -> list[HybridConfig]:
    """Of `random_llava`: nothing reduced, merging alone, and pruning in every mode there is."""
    merging = (0.6, 0.5, 0.4, 1.0)
    modes = product((None, merging), *map(get_args, (RopeMode, PruneMode, RankMode)))
    return [
        HybridConfig(),
        HybridConfig(thresholds=merging, rope="virtual"),
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
    "IMAGE_TOKEN",
    "PATCHES",
    "SHAPE",
    "VISION_BLOCKS",
    "Batch",
    "batch",
    "every_config",
    "random_llava",
]
