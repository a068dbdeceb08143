"""A LLaVA and its images made from integers alone.

Nothing here is drawn from a random generator, whose stream may change with a library's version:
weights and noise come from an integer hash, written out below. The model has LLaVA-1.5's true
grid, 24 x 24 patches of 14 pixels, and is small in every other respect. It has learned nothing;
what goldens pin down are places, not answers.
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from transformers import LlavaForConditionalGeneration

from bench.arms.untrained import PATCH, Shape

SIDE = 24
SHAPE = Shape(side=SIDE, text_layers=4, vocabulary=64)
DEEP = replace(SHAPE, vision_layers=24)  # for thresholds of LLaVA-1.5's own tower


def hashed(count: int, seed: int) -> Tensor:
    """`count` numbers in [-0.5, 0.5), float64, from a 32-bit integer hash of 0..count-1."""
    x = (torch.arange(count, dtype=torch.int64) + seed * 0x9E3779B1) & 0xFFFFFFFF
    for shift, multiplier in ((16, 0x7FEB352D), (15, 0x046CA68B)):
        x = ((x ^ (x >> shift)) * multiplier) & 0xFFFFFFFF
    return (x ^ (x >> 16)).double() / 2**32 - 0.5


def integer_llava(shape: Shape) -> LlavaForConditionalGeneration:
    """`SHAPE` (4 CLIP blocks, 3 of them used) or `DEEP` (24 blocks), with hashed weights.

    Float64, so that no near-tie is decided by the order in which a processor sums.
    """
    llava = LlavaForConditionalGeneration(shape.config())
    llava.double().train(False)
    for seed, (name, weight) in enumerate(llava.named_parameters()):
        if name.endswith(".bias") or "norm" in name:  # zeros and ones as they are
            continue
        fan_in = weight[0].numel()
        values = hashed(weight.numel(), seed).view(weight.shape)
        # Uniform in [-0.5, 0.5) has variance 1/12; position embeddings stay small, so that what
        # an image shows decides what merges.
        scale = 0.3 if "position_embedding" in name else (12 / fan_in) ** 0.5
        with torch.no_grad():
            weight.copy_(values * scale)
    return llava


def prompt(before: int, after: int) -> Tensor:
    """Token ids: `before` text tokens, the image, `after` text tokens; [S] int64."""
    text = (torch.arange(before + after) * 7 + before) % 60 + 3
    image = torch.full((SHAPE.patches,), SHAPE.image_token)
    return torch.cat([text[:before], image, text[before:]])


def _pixels(brightness: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """An image [3, 336, 336] from a function of pixel row and column, int64 -> any number."""
    row = torch.arange(SIDE * PATCH)[:, None].expand(-1, SIDE * PATCH)
    grey = brightness(row, row.T).double() / 128 - 1
    return torch.stack([grey, -grey, grey * 0.5]).float()


def uniform() -> Tensor:
    """One grey everywhere."""
    return _pixels(lambda row, column: torch.full_like(row, 128))


def checkerboard() -> Tensor:
    """Squares of three patches, black and white."""
    return _pixels(lambda row, column: (row // (3 * PATCH) + column // (3 * PATCH)) % 2 * 255)


def gradient() -> Tensor:
    """Dark at the top left, bright at the bottom right."""
    return _pixels(lambda row, column: (row + column) * 255 // (2 * SIDE * PATCH - 2))


def noise() -> Tensor:
    """Every patch its own grey, from the integer hash."""
    levels = ((hashed(SIDE * SIDE, 7) + 0.5) * 256).long().view(SIDE, SIDE)
    return _pixels(lambda row, column: levels[row // PATCH, column // PATCH])


IMAGES: dict[str, Callable[[], Tensor]] = {
    "uniform": uniform,
    "checkerboard": checkerboard,
    "gradient": gradient,
    "noise": noise,
}
