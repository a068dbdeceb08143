"""What Qwen-VLs have in common: images of any size, positions on three axes.

A patch's place is (time, height, width); text behind an image goes on from its longer side, and not
from how many tokens it has. Positions are found on the host, in `place`, as is what the tower has
to know of sizes.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from hybrid.config import ConfigError
from hybrid.families.family import Alike, Family, nothing
from hybrid.families.packing import Grid, Merged, PackedTower
from hybrid.inputs import Inputs, arranged, cells_of, images_in, images_of, mask_of, runs_of
from hybrid.language import Language
from hybrid.methods import Stages


class QwenVL(Family):
    """A Qwen-VL, images only."""

    takes = ("image_grid_thw",)
    ignores = ("mm_token_type_ids",)
    tower_class: ClassVar[type[PackedTower]]
    vision: PackedTower
    patches = slots = None

    def __init__(self, model: Any, stages: Stages) -> None:
        if stages.tower or stages.image:
            stage: Any = stages.tower or stages.image
            raise ConfigError(
                f"{type(stage).__name__} acts on a CLIP tower or in front of it, and that of"
                f" {self.name} is another: take a method of the hand-over or language place"
            )
        self.language = Language(model.model.language_model, model.lm_head)
        remembers = any(stage.asks_tower for stage in stages.hand_over)
        self.vision = self.tower_class(model.model.visual, remembers=remembers)
        self.projector = nn.Identity()  # the tower's merger has given the language model's width
        self.image_token_id = model.config.image_token_id
        self.video_token_id = model.config.video_token_id

    def place(
        self,
        input_ids: Tensor,
        pixel_values: Tensor | None,
        attention_mask: Tensor | None,
        **images: Tensor,
    ) -> Inputs:
        """`image_grid_thw` [I, 3] says how many patches each image has."""
        self.demand_host(input_ids)
        if bool((input_ids == self.video_token_id).any()):
            raise ConfigError("videos are not supported, only images: take its frames as images")
        grids = self._grids(pixel_values, images.get("image_grid_thw"))
        mask, padded = mask_of(input_ids, attention_mask)
        is_image = input_ids == self.image_token_id
        numbers = images_in(runs_of(is_image), [high * wide for high, wide in grids])
        of_prompts = [[grids[number] for number in of_prompt] for of_prompt in numbers]
        found = images_of([[cells_of(*grid) for grid in of_prompt] for of_prompt in of_prompts])
        if pixel_values is None:
            pixel_values = torch.zeros(0, self.vision.patch_values)
        return arranged(
            input_ids,
            pixel_values.to(self.language.head.weight.dtype),
            mask,
            is_image,
            padded=padded,
            placeholders=found.placeholders,
            position_ids=position_ids_of(is_image, mask, of_prompts),
            images=found,
            tower=self.vision.pack(grids) if grids else None,
        )

    def _grids(self, pixel_values: Tensor | None, thw: Tensor | None) -> list[Grid]:
        """Tokens of each image, high and wide."""
        if pixel_values is None:
            return []
        if thw is None or thw.ndim != 2 or thw.shape[1] != 3:
            raise ConfigError(
                "pixel_values of this model come with image_grid_thw [I, 3], as its processor says"
            )
        rows, merge = thw.tolist(), self.vision.merge  # sync-ok: on the host
        for number, (time, high, wide) in enumerate(rows):
            if time != 1 or high % merge or wide % merge or not high * wide:
                raise ConfigError(
                    f"image {number} has {time} x {high} x {wide} patches: one frame, whose sides"
                    f" are multiples of {merge}, is what this model takes"
                )
        asked = sum(high * wide for _, high, wide in rows)
        if pixel_values.shape != (asked, self.vision.patch_values):
            raise ConfigError(
                f"pixel_values of shape {tuple(pixel_values.shape)}, and image_grid_thw asks for"
                f" {(asked, self.vision.patch_values)}"
            )
        return [(high // merge, wide // merge) for _, high, wide in rows]

    def look(self, inputs: Inputs) -> Merged:
        if inputs.tower is None:
            return Merged(nothing(self.vision.width, inputs))
        return self.vision.look(inputs.pixel_values, inputs.tower)

    def alike(self, inputs: Inputs, looked: Any) -> list[Alike]:
        return [Alike(same.image, same.grid, looked.of(same)) for same in inputs.tower.alike]

    def grids(self, inputs: Inputs) -> list[Grid]:
        return [same.grid for same in inputs.tower.alike] if inputs.tower else []


def position_ids_of(is_image: Tensor, mask: Tensor, grids: Sequence[Sequence[Grid]]) -> Tensor:
    """Time, height and width of each token of left-padded prompts: [3, B, S], on the host.

    Args:
        is_image: [B, S] bool.
        mask: [B, S], 0 for padding, which stands at 0.
        grids: tokens of each image, high and wide, a list a prompt.
    """
    ids = torch.zeros(3, *is_image.shape, dtype=torch.long)
    for row, of_prompt in enumerate(grids):
        padding = is_image.shape[1] - int(mask[row].sum())
        parts = [torch.zeros(3, padding, dtype=torch.long)]
        there = is_image[row, padding:].tolist()  # sync-ok: on the host
        parts += _positions(there, of_prompt)
        ids[:, row] = torch.cat(parts, dim=1)
    return ids


def _positions(is_image: list[bool], grids: Sequence[Grid]) -> Iterator[Tensor]:
    """[3, n] for each run of text and each image of a prompt."""
    position, images = 0, iter(grids)
    for here, run in groupby(is_image):
        tokens = len([*run])
        if not here:
            yield (position + torch.arange(tokens)).expand(3, -1)
            position += tokens
        while here and tokens:
            high, wide = next(images)
            cells = cells_of(high, wide).T
            yield position + torch.cat([torch.zeros_like(cells[:1]), cells])
            position += max(high, wide)
            tokens -= high * wide
