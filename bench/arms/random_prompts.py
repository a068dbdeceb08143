"""Prompts without a meaning, as a family's processor gives them: for models that answer nothing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.models.llava_next import modeling_llava_next
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

from bench.arms.profiles.settings import Data

Size = tuple[int, int]  # pixels, high and wide
IMAGE: Size = (672, 672)
"""Where a family takes images of any size."""
TEXT_BEFORE, TEXT_AFTER = 35, 29  # with 576 patches: 640 tokens
WORDS = TEXT_BEFORE + TEXT_AFTER  # of an MMBench prompt, beside its image
FIRST_WORD = 3  # ids below it are padding, begin and end
PAD = 0


@dataclass(frozen=True)
class Seen:
    """What a processor makes of an image.

    Attributes:
        placeholders: in the prompt.
        pixels: shape of what the tower takes.
        says: what else the family is told of it.
        around: ids in front of the placeholders and behind.
    """

    placeholders: int
    pixels: tuple[int, ...]
    says: Mapping[str, list[int]]
    around: tuple[list[int], list[int]] = ([], [])


def seen(config: Any, image: Size, *, least: int | None = None, most: int | None = None) -> Seen:
    """An image of so many pixels, of the model that `config` describes.

    least, most: pixels that an image is resized to where a family takes any number; as it is, to
        whole tokens, if None.
    """
    return _SEEN[config.model_type](config, image, least, most)


def prompts_of(
    config: Any,
    texts: Sequence[tuple[int, int]],
    images: Sequence[Size],
    *,
    least: int | None = None,
    most: int | None = None,
) -> dict[str, Tensor]:
    """The same prompts at every call, each with an image, on the host.

    Args:
        texts: words before and after each image, what belongs to it counted.
        images: one a prompt; see `seen`.

    Returns:
        input_ids [B, S] int64, left-padded, attention_mask [B, S] int64, pixel_values float32, and
        what else the family takes.
    """
    generator = torch.Generator().manual_seed(1)
    image, vocabulary = config.image_token_id, _words_of(config)
    each = [seen(config, size, least=least, most=most) for size in images]
    rows = []
    for (before, after), one in zip(texts, each, strict=True):
        ahead, behind = one.around
        count = before + after - len(ahead) - len(behind)
        drawn = torch.randint(len(vocabulary), (count,), generator=generator)
        text = vocabulary[drawn].tolist()
        cut = before - len(ahead)
        rows.append([*text[:cut], *ahead, *[image] * one.placeholders, *behind, *text[cut:]])
    length = max(map(len, rows))
    ids = torch.tensor([[PAD] * (length - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (length - len(row)) + [1] * len(row) for row in rows])
    pixels = [torch.randn(one.pixels, generator=generator) for one in each]
    given = {
        "input_ids": ids,
        "attention_mask": mask,
        "pixel_values": _JOIN[config.model_type](pixels),
    }
    given |= {name: torch.tensor([one.says[name] for one in each]) for name in each[0].says}
    if "image_grid_thw" in given:
        given["mm_token_type_ids"] = (ids == image).long()
    return given


def random_prompts(
    config: Any, batch: int, data: Data | None = None, *, image: Size | None = None
) -> dict[str, Tensor]:
    """The same prompts at every call, on the host: 64 words and an image each.

    Args:
        config: of the model.
        data: of a profile, whose `image`, `min_pixels` and `max_pixels` are heeded.
        image: pixels, high and wide, where the model takes images of any size; those of `data`, or
            672 x 672, if None.

    Returns:
        input_ids [B, S] int64 with the image behind the first `TEXT_BEFORE` words and S its tokens
        and 64, attention_mask [B, S] int64, pixel_values, and what else the family takes.
    """
    least = most = None
    if data is not None:
        least, most, image = data.min_pixels, data.max_pixels, image or data.image
    texts = [(TEXT_BEFORE, TEXT_AFTER)] * batch
    return prompts_of(config, texts, [image or IMAGE] * batch, least=least, most=most)


def _words_of(config: Any) -> Tensor:
    """Ids [W] that words are drawn from: none that says where an image is."""
    names = ("video_token_id", "vision_start_token_id", "vision_end_token_id")
    special = {config.image_token_id, *(getattr(config, name, None) for name in names)}
    every = range(FIRST_WORD, config.text_config.vocab_size)
    return torch.tensor([word for word in every if word not in special])


def _llava(config: Any, _: Size, least: int | None, most: int | None) -> Seen:
    side = config.vision_config.image_size
    return Seen((side // config.vision_config.patch_size) ** 2, (3, side, side), {})


def _llava_next(config: Any, image: Size, least: int | None, most: int | None) -> Seen:
    theirs: Any = modeling_llava_next
    side, pinpoints = config.vision_config.image_size, config.image_grid_pinpoints
    across = side // config.vision_config.patch_size
    crops = theirs.image_size_to_num_patches([*image], pinpoints, side)
    rows, columns = theirs.get_anyres_image_grid_shape(image, pinpoints, side)
    laid = torch.empty(1, rows * across, columns * across, device="meta")
    _, high, wide = theirs.unpad_image(laid, image).shape
    says = {"image_sizes": [*image]}
    return Seen(across**2 + high * (wide + 1), (crops, 3, side, side), says)


def _qwen(config: Any, image: Size, least: int | None, most: int | None) -> Seen:
    vision = config.vision_config
    patch, merge = vision.patch_size, vision.spatial_merge_size
    resized = smart_resize(
        *image,
        factor=patch * merge,
        min_pixels=least or 1,
        max_pixels=most or 1 << 40,
    )
    high, wide = (length // patch for length in resized)
    values = vision.in_channels * vision.temporal_patch_size * patch**2
    around = [config.vision_start_token_id], [config.vision_end_token_id]
    says = {"image_grid_thw": [1, high, wide]}
    return Seen(high * wide // merge**2, (high * wide, values), says, around)


_SEEN: Mapping[str, Callable[[Any, Size, int | None, int | None], Seen]] = {
    "llava": _llava,
    "llava_next": _llava_next,
    "qwen2_5_vl": _qwen,
    "qwen3_vl": _qwen,
}


def _padded(pixels: list[Tensor]) -> Tensor:
    """As many crops each as the most have."""
    return torch.nn.utils.rnn.pad_sequence(pixels, batch_first=True)


_JOIN: Mapping[str, Callable[[list[Tensor]], Tensor]] = {
    "llava": torch.stack,
    "llava_next": _padded,
    "qwen2_5_vl": torch.cat,
    "qwen3_vl": torch.cat,
}
