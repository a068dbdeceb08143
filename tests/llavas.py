"""The small untrained LLaVA that equivalence tests run on, and batches for it."""

from typing import Any

from bench.untrained import Batch, Shape, batch_of, untrained_llava

SHAPE = Shape()
PATCHES, IMAGE_TOKEN = SHAPE.patches, SHAPE.image_token
VISION_BLOCKS = SHAPE.vision_layers


def random_llava(*, groups: int = 4, layers: int = 5) -> Any:
    """6 x 6 patches, 4 CLIP blocks, `layers` Llama layers with `groups` key-value heads of 4."""
    return untrained_llava(Shape(key_value_heads=groups, text_layers=layers))


def batch(size: int) -> Batch:
    """Prompts of different lengths, the image at different places."""
    return batch_of(SHAPE, [(4, 6), (3, 12), (5, 3), (2, 2)][:size])


__all__ = ["IMAGE_TOKEN", "PATCHES", "SHAPE", "VISION_BLOCKS", "Batch", "batch", "random_llava"]
