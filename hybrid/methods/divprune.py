"""DivPrune: the tokens that lie farthest apart.

https://arxiv.org/abs/2503.02175: max-min diversity, greedily, on the projected features' cosines.
Differs from the authors' code in one line: what is chosen is chosen once. Theirs may pick the same
token again where many are alike.
"""

from dataclasses import dataclass

import torch

from hybrid.merging import at_least_float32
from hybrid.stages import Choice, HandOverStage, Seen

PADDING = -1.0  # below 1 - cosine


@dataclass(frozen=True)
class DivPrune(HandOverStage):
    """keep: tokens that are handed on."""

    def choose(self, seen: Seen) -> Choice:
        valid = seen.visual.valid
        unit = torch.nn.functional.normalize(
            at_least_float32(seen.project(seen.visual.features)), dim=-1
        )
        apart = 1 - unit @ unit.transpose(1, 2)  # [B, N, N]
        others = apart.masked_fill(~valid[:, None, :], float("inf"))
        # The first one is farthest from its nearest other; each is nearest to itself.
        nearest = others.topk(min(2, apart.shape[2]), dim=2, largest=False).values[..., -1]
        # Padding is nearer than any token, so that it comes when no token is left.
        nearest = nearest.masked_fill(~valid, PADDING)
        apart = apart.masked_fill(~valid[:, None, :], PADDING)
        taken = torch.zeros_like(valid)
        chosen = []
        for _ in range(self.slots_of(valid.shape[1])):
            chosen.append(nearest.masked_fill(taken, float("-inf")).argmax(dim=1))
            index = chosen[-1][:, None]
            far = apart.gather(1, index[..., None].expand(-1, -1, apart.shape[2]))[:, 0]
            nearest = far if len(chosen) == 1 else torch.minimum(nearest, far)
            taken = taken.scatter(1, index, True)
        slot = torch.stack(chosen, dim=1).sort(dim=1).values
        return Choice(slot, valid.gather(1, slot))
