"""Qwen3-VL: a tower that also tells of its middle (DeepStack), query and key with norms.

https://arxiv.org/abs/2511.21631; transformers' `Qwen3VLForConditionalGeneration`. What some blocks
in the tower gave is added to hidden states behind the first layers of the language model. It
stands beside a token's own in one wide feature, so that both are chosen, merged and cut alike.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Qwen3VLForConditionalGeneration
from transformers.vision_utils import get_vision_interpolation_indices_and_weights

from hybrid.families.packing import Grid, Merged, PackedTower, Packing, Taps
from hybrid.families.qwen_vl import QwenVL
from hybrid.merging import VisualTokens


class DeepTower(PackedTower):
    """All blocks see whole images; position embeddings are interpolated."""

    def __init__(self, tower: nn.Module, *, remembers: bool = False) -> None:
        super().__init__(tower, remembers=remembers)
        mergers = self.model.deepstack_merger_list
        self.mergers = dict(zip(self.model.deepstack_visual_indexes, mergers, strict=True))

    def pack(self, grids: Sequence[Grid]) -> Packing:
        patches = [[1, high * self.merge, wide * self.merge] for high, wide in grids]
        taps = get_vision_interpolation_indices_and_weights(
            torch.tensor(patches),  # sync-ok: on the host
            num_grid_per_side=self.model.num_grid_per_side,
            mode=self.model.interpolation_mode,
            align_corners=self.model.interpolation_align_corners,
            spatial_merge_size=self.merge,
        )
        return super().pack(grids)._replace(taps=Taps(*taps))

    def look(self, pixel_values: Tensor, packing: Packing) -> Merged:
        assert packing.taps is not None
        patches = self.model.patch_embed(pixel_values)
        place, weight = packing.taps
        embedding = (self.model.pos_embed(place) * weight[..., None]).sum(dim=1)
        return self.through(patches + embedding.to(patches.dtype), packing)


class Qwen3VL(QwenVL):
    """Qwen3-VL."""

    model_type = "qwen3_vl"
    name = "Qwen3-VL"
    model_class = Qwen3VLForConditionalGeneration
    tower_class = DeepTower

    @classmethod
    def check(cls, settings: Any) -> None:
        """Nothing of a Qwen3-VL is refused."""

    def project(self, features: Tensor) -> Tensor:
        return features[..., : self.vision.own]

    def deeper(self, visual: VisualTokens) -> Sequence[Tensor]:
        levels: Sequence[Tensor] = visual.features.chunk(1 + len(self.vision.mergers), dim=-1)
        return levels[1:]
