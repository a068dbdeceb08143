"""Downsample: the image itself, made smaller in front of the tower.

The plainest way to fewer tokens, and better than many published rules (VTC-Bench,
https://arxiv.org/abs/2510.07143): it also saves the tower's own work. There the file is resized,
here the pixels that the processor made of it; the tower's position embeddings are interpolated as
transformers does it.
"""

from dataclasses import dataclass
from math import isqrt

from torch import Tensor
from torch.nn.functional import interpolate

from hybrid.config import Keep
from hybrid.merging import at_least_float32


@dataclass(frozen=True)
class Downsample:
    """keep: tokens of the smaller image, or the next square number below."""

    keep: Keep

    def side_of(self, side: int) -> int:
        return isqrt(self.keep.of(side * side))

    def smaller(self, pixels: Tensor, side: int) -> Tensor:
        """Bicubic with its kernel as wide as the factor, which is Pillow's."""
        wide = at_least_float32(pixels)
        small = interpolate(wide, (side, side), mode="bicubic", antialias=True)
        return small.to(pixels.dtype)
