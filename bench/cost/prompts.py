"""Prompts of 64 words and an image, as each family's processor gives them, without values."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from transformers.models.llava_next import modeling_llava_next

WORDS = 64  # of an MMBench prompt, beside its image
Size = tuple[int, int]
IMAGE: Size = (672, 672)
"""Pixels, high and wide, where a family takes images of any size."""


def prompts_of(config: Any, batch: int, image: Size = IMAGE) -> dict[str, Tensor]:
    """What `place` takes: ids and sizes on the host, pixels on `meta`.

    Args:
        config: of the model.
        image: pixels, high and wide; a family of squares resizes it.
    """
    placeholders, given = _FAMILIES[config.model_type](config, batch, image)
    ids = torch.zeros(batch, WORDS + placeholders, dtype=torch.long)
    ids[:, 1 : 1 + placeholders] = config.image_token_id
    return {"input_ids": ids, **given}


def _llava(config: Any, batch: int, _: Size) -> tuple[int, dict[str, Tensor]]:
    vision = config.vision_config
    side = vision.image_size
    pixels = torch.empty(batch, 3, side, side, device="meta")
    return (side // vision.patch_size) ** 2, {"pixel_values": pixels}


def _llava_next(config: Any, batch: int, image: Size) -> tuple[int, dict[str, Tensor]]:
    theirs: Any = modeling_llava_next
    side, pinpoints = config.vision_config.image_size, config.image_grid_pinpoints
    across = side // config.vision_config.patch_size
    crops = theirs.image_size_to_num_patches([*image], pinpoints, side)
    rows, columns = theirs.get_anyres_image_grid_shape(image, pinpoints, side)
    laid = torch.empty(1, rows * across, columns * across, device="meta")
    _, high, wide = theirs.unpad_image(laid, image).shape
    given = {
        "pixel_values": torch.empty(batch, crops, 3, side, side, device="meta"),
        "image_sizes": torch.tensor([image] * batch),
    }
    return across**2 + high * (wide + 1), given


def _qwen(config: Any, batch: int, image: Size) -> tuple[int, dict[str, Tensor]]:
    vision = config.vision_config
    patch, merge = vision.patch_size, vision.spatial_merge_size
    high, wide = (merge * max(1, round(pixels / (patch * merge))) for pixels in image)
    values = vision.in_channels * vision.temporal_patch_size * patch**2
    given = {
        "pixel_values": torch.empty(batch * high * wide, values, device="meta"),
        "image_grid_thw": torch.tensor([[1, high, wide]] * batch),
    }
    return high * wide // merge**2, given


_FAMILIES: Mapping[str, Callable[[Any, int, Size], tuple[int, dict[str, Tensor]]]] = {
    "llava": _llava,
    "llava_next": _llava_next,
    "qwen2_5_vl": _qwen,
    "qwen3_vl": _qwen,
}
