"""FastV: the last prompt token's attention ranks the visual tokens.

https://arxiv.org/abs/2403.06764, section 4. The paper's text averages over all queries; its code,
which this follows, takes the last row. That one row is computed here from the layer's own queries
and keys, so the layer itself still runs fused attention and no [S, S] matrix exists.
"""

from dataclasses import dataclass

from torch import Tensor

from hybrid.config import Keep, RankMode
from hybrid.pruning import last_row_scores, rank_scores
from hybrid.stages import Read


@dataclass(frozen=True)
class FastV:
    """Ranks by the attention of layer `layer` - 1; FastV's own K is `layer`.

    keep: tokens that stay. rank: `attention`, or a control at the same budget: `random`, `lowest`.
    """

    keep: Keep
    layer: int = 3
    rank: RankMode = "attention"

    def scores(self, read: Read) -> Tensor:
        row = last_row_scores(read.query[:, :, -1:], read.key, read.valid, read.scaling)  # [B, R]
        return rank_scores(read.of_image(row), read.standing.position, read.seed(), self.rank)
