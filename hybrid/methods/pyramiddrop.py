"""PyramidDrop: at three depths, the last prompt token's attention keeps half of what is left.

https://arxiv.org/abs/2410.17247. Each stage ranks by the query and keys that its own layer makes of
its input, which are computed once more for it, as in the authors' code. Differs from that: the
tokens that stay keep their positions, which theirs renumbers.
"""

from dataclasses import dataclass
from fractions import Fraction

from torch import Tensor

from hybrid.config import Keep
from hybrid.pruning import last_row_scores
from hybrid.stages import Read

HALF = Keep(removed=Fraction(1, 2))


@dataclass(frozen=True)
class PyramidDrop:
    """keep: of the tokens that are left at each stage; the paper's is half of them."""

    keep: Keep = HALF

    def stages(self, layers: int) -> tuple["PyramidStage", ...]:
        """In front of a quarter, half and three quarters of the layers."""
        at = sorted({max(1, layers * quarter // 4) for quarter in (1, 2, 3)})
        return tuple(PyramidStage(layer, self.keep) for layer in at)


@dataclass(frozen=True)
class PyramidStage:
    """One of its stages."""

    layer: int
    keep: Keep

    def scores(self, read: Read) -> Tensor:
        query, key = read.own()
        return read.of_image(last_row_scores(query[:, :, -1:], key, read.valid, read.scaling))
