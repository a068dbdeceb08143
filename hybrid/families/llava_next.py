"""LLaVA-NeXT: an image is seen whole and in crops, whose patches are laid out as one finer image.

https://llava-vl.github.io/blog/2024-01-30-llava-next/; transformers'
`LlavaNextForConditionalGeneration`. Behind the patches of the whole image stand those of the crops,
row by row without what was padded, a newline token behind each row.

A newline is a token of its image: stages of the language model rank it as they rank patches, as
FastV's own code does. Between tower and language model methods see each crop as an image of its
own, with its own budget, as their authors have it; once one of them drops patches, rows are no
longer whole, and newlines are not handed on either.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import LlavaNextForConditionalGeneration

from hybrid.config import ConfigError
from hybrid.families.family import Alike, Family, joined, nothing, picked
from hybrid.families.llava import check_clip, clip_tower
from hybrid.inputs import Inputs, arranged, cells_of, images_in, images_of, mask_of, runs_of
from hybrid.language import Language
from hybrid.merging import VisualTokens
from hybrid.methods import Stages
from hybrid.rope import consecutive_position_ids
from hybrid.vision import Looked, VisionTower

Grid = tuple[int, int]


class Rectangle(NamedTuple):
    """Crops of which the same patches are no padding.

    Attributes:
        crop: [G] int64, which.
        patch: [n] int64, the patches, in raster order.
        grid: how many, high and wide.
    """

    crop: Tensor
    patch: Tensor
    grid: Grid


class Crops(NamedTuple):
    """All crops of a batch, each image's whole view first.

    Attributes:
        place: [C, P] int64, which of its image's placeholders a patch stands for; -1 for padding.
        rectangles: crops by which of their patches are no padding.
        newline: [B, L] int64, which placeholders of a prompt are newlines; 0 past a prompt's own.
        has_newline: [B, L] bool.
        is_newline: [B, V] bool, the same by placeholder.
    """

    place: Tensor
    rectangles: tuple[Rectangle, ...]
    newline: Tensor
    has_newline: Tensor
    is_newline: Tensor


class View(NamedTuple):
    """One image: its crops, and what is left of them.

    Attributes:
        crops: high and wide.
        unpadded: patches that are no padding, high and wide.
        skipped: rows and columns of padding in front of these.
    """

    crops: Grid
    unpadded: Grid
    skipped: Grid


class LlavaNext(Family):
    """LLaVA-NeXT, with Llama or Mistral."""

    model_type = "llava_next"
    name = "LLaVA-NeXT"
    model_class = LlavaNextForConditionalGeneration
    takes = ("image_sizes",)
    vision: VisionTower
    patches = slots = None

    @classmethod
    def check(cls, settings: Any) -> None:
        check_clip(settings, cls.name, ("llama", "mistral"))
        if getattr(settings.text_config, "sliding_window", None):
            raise ConfigError(f"sliding_window is not supported in {cls.name}: set it to null")

    def __init__(self, model: Any, stages: Stages) -> None:
        if stages.tower or stages.image:
            stage: Any = stages.tower or stages.image
            raise ConfigError(
                f"{type(stage).__name__} merges in the tower, where crops of {self.name} still have"
                " their padding: take a method of the hand-over or language place"
            )
        self.language = Language(model.model.language_model, model.lm_head)
        self.vision = clip_tower(model, stages)
        self.projector = model.model.multi_modal_projector
        self.newline = model.model.image_newline
        self.pinpoints: list[Grid] = [
            (high, wide) for high, wide in model.config.image_grid_pinpoints
        ]
        self.image_token_id = model.config.image_token_id

    def place(
        self,
        input_ids: Tensor,
        pixel_values: Tensor | None,
        attention_mask: Tensor | None,
        **images: Tensor,
    ) -> Inputs:
        """pixel_values [I, c, 3, H, W], padded to as many crops as the most of them have, and
        `image_sizes` [I, 2], high and wide, as they were."""
        self.demand_host(input_ids)
        views = [] if pixel_values is None else self._views(images.get("image_sizes"))
        pixels = self._crops(pixel_values, views)
        mask, padded = mask_of(input_ids, attention_mask)
        is_image = input_ids == self.image_token_id
        cells = [self._cells(view) for view in views]
        numbers = images_in(runs_of(is_image), [*map(len, cells)])
        of_prompts = [[views[number] for number in of_prompt] for of_prompt in numbers]
        found = images_of([[cells[n] for n in row] for row in numbers], [*map(_crops, views)])
        tower = self._tower(found.placeholders, of_prompts) if views else None
        return arranged(
            input_ids,
            pixels.to(self.language.head.weight.dtype),
            mask,
            is_image,
            padded=padded,
            placeholders=found.placeholders,
            position_ids=consecutive_position_ids(mask.bool()),
            images=replace(found, even=found.even and _even(tower)),
            tower=tower,
        )

    def _views(self, sizes: Tensor | None) -> list[View]:
        if sizes is None or sizes.ndim != 2 or sizes.shape[1] != 2:
            raise ConfigError(
                "pixel_values of this model come with image_sizes [I, 2], as its processor says"
            )
        grid, side = self.vision.grid[0], self.vision.side
        views = []
        for high, wide in sizes.tolist():  # sync-ok: on the host
            best = _best(high, wide, self.pinpoints)
            crops = best[0] // side, best[1] // side
            views.append(View(crops, *_unpadded(high, wide, (crops[0] * grid, crops[1] * grid))))
        return views

    def _crops(self, pixel_values: Tensor | None, views: Sequence[View]) -> Tensor:
        """[C, 3, H, W], without those that only fill up."""
        side = self.vision.side
        if pixel_values is None:
            return torch.zeros(0, 3, side, side)
        counts = [*map(_crops, views)]
        shape = tuple(pixel_values.shape)
        if len(shape) != 5 or shape[2:] != (3, side, side) or len(views) != shape[0]:
            raise ConfigError(
                f"pixel_values of shape {shape} with {len(views)} image_sizes, and this model takes"
                f" [I, crops, 3, {side}, {side}] of I images"
            )
        if max(counts) > shape[1]:
            raise ConfigError(
                f"pixel_values hold {shape[1]} crops an image, and by image_sizes one has"
                f" {max(counts)}"
            )
        return torch.cat([crops[:count] for crops, count in zip(pixel_values, counts, strict=True)])

    def _cells(self, view: View) -> Tensor:
        """Row and column of each placeholder, those of a newline behind its row."""
        high, wide = view.unpadded
        return torch.cat([cells_of(*self.vision.grid), cells_of(high, wide + 1)])

    def _tower(self, placeholders: int, of_prompts: Sequence[Sequence[View]]) -> Crops:
        patches, (_, across) = self.vision.patches, self.vision.grid
        places, inside = [], dict[tuple[int, ...], list[int]]()
        newlines = [list[int]() for _ in of_prompts]
        for row, of_prompt in enumerate(of_prompts):
            offset = 0
            for view in of_prompt:
                (high, wide), (top, left) = view.unpadded, view.skipped
                fine = torch.full((view.crops[0] * across, view.crops[1] * across), -1)
                lines = torch.arange(high)[:, None] * (wide + 1)
                fine[top : top + high, left : left + wide] = patches + lines + torch.arange(wide)
                ends = offset + patches + lines[:, 0] + wide
                newlines[row] += ends.tolist()  # sync-ok: on the host
                crops = fine.view(view.crops[0], across, view.crops[1], across).transpose(1, 2)
                places += [torch.arange(patches), *crops.reshape(-1, patches)]
                offset += patches + high * (wide + 1)
        for number, place in enumerate(places):
            there = (place >= 0).nonzero()[:, 0].tolist()  # sync-ok: on the host
            inside.setdefault(tuple(there), []).append(number)
        longest = max(map(len, newlines))
        filled = [row + [0] * (longest - len(row)) for row in newlines]
        newline = torch.tensor(filled)  # sync-ok: on the host
        counts = torch.tensor([[len(row)] for row in newlines])  # sync-ok: on the host
        has_newline = torch.arange(longest) < counts
        nowhere = torch.zeros(len(newlines), placeholders + 1, dtype=torch.bool)
        spots = newline.masked_fill(~has_newline, placeholders)
        rectangles = tuple(
            Rectangle(
                torch.tensor(crop),  # sync-ok: on the host
                torch.tensor(patch),  # sync-ok: on the host
                _grid_of(patch, across),
            )
            for patch, crop in inside.items()
            if patch  # a crop of nothing but padding has none
        )
        return Crops(
            place=torch.stack(places),
            rectangles=rectangles,
            newline=newline,
            has_newline=has_newline,
            is_newline=nowhere.scatter(1, spots, True)[:, :-1],
        )

    def look(self, inputs: Inputs) -> Looked:
        if inputs.tower is None:
            return Looked(nothing(self.vision.model.config.hidden_size, inputs))
        looked = self.vision.look(inputs.pixel_values)
        there = inputs.tower.place >= 0
        owner = looked.visual.owner.masked_fill(~there, self.vision.patches)
        return looked._replace(visual=replace(looked.visual, valid=there, owner=owner))

    def alike(self, inputs: Inputs, looked: Looked) -> list[Alike]:
        return [
            Alike(part.crop, part.grid, _Part(looked, part)) for part in inputs.tower.rectangles
        ]

    def grids(self, inputs: Inputs) -> list[Grid]:
        return [part.grid for part in inputs.tower.rectangles] if inputs.tower else []

    def slots_of(self, inputs: Inputs, left: Callable[[Grid], int]) -> int:
        whole = all(left(grid) == grid[0] * grid[1] for grid in self.grids(inputs))
        if inputs.images is not None and whole:
            return inputs.images.placeholders  # rows are whole, and their newlines handed on
        return super().slots_of(inputs, left)

    def to_prompts(self, visual: VisualTokens, inputs: Inputs, *, whole: bool) -> VisualTokens:
        images, crops = inputs.images, inputs.tower
        assert images is not None
        if crops is None:
            return joined(visual, images)
        place = crops.place.gather(1, visual.position).clamp(min=0)
        visual = joined(replace(visual, position=place), images)
        if whole:
            visual = _beside(visual, crops)
        slots = min(visual.valid.shape[1], images.placeholders)
        behind = visual.position.masked_fill(~visual.valid, images.placeholders)
        return picked(visual, behind.argsort(dim=1, stable=True)[:, :slots])

    def embed(self, visual: VisualTokens, inputs: Inputs) -> Tensor:
        features = self.project(visual.features)
        if inputs.tower is None:
            return features
        newline = inputs.tower.is_newline.gather(1, visual.position) & visual.valid
        return torch.where(newline[..., None], self.newline.to(features.dtype), features)


class _Part:
    """What the tower gave for the patches of some crops that are no padding, as `Looked`."""

    def __init__(self, looked: Looked, part: Rectangle) -> None:
        self._looked, self._part = looked, part
        visual, slots = looked.visual, len(part.patch)
        crop, patch = part.crop[:, None], part.patch
        own = torch.arange(slots, device=patch.device).expand(len(part.crop), -1)
        nowhere = visual.owner.new_full((len(part.crop), visual.owner.shape[1]), slots)
        self.visual = replace(
            visual,
            features=visual.features[crop, patch],
            position=visual.position[crop, patch],
            size=visual.size[crop, patch],
            valid=visual.valid[crop, patch],
            owner=nowhere.scatter(1, patch.expand(len(part.crop), -1), own),
        )

    def attention(self) -> Tensor:
        return self._of(self._looked.attention(), 2)

    def patch_keys(self) -> Tensor:
        return self._of(self._looked.patch_keys(), 2)

    def beyond(self) -> tuple[Tensor, Tensor]:
        row, keys = self._looked.beyond()
        return self._of(row, 1), self._of(keys, 1)

    def _of(self, tensor: Tensor, dim: int) -> Tensor:
        return tensor[self._part.crop].index_select(dim, self._part.patch)


def _beside(visual: VisualTokens, crops: Crops) -> VisualTokens:
    """The same with the newlines of each prompt behind it."""
    more = crops.newline.shape[1]
    slots, features = visual.valid.shape[1], visual.features
    none = features.new_zeros(len(features), more, features.shape[-1])
    return replace(
        visual,
        features=torch.cat([features, none], dim=1),
        position=torch.cat([visual.position, crops.newline], dim=1),
        size=torch.cat([visual.size, crops.has_newline.to(visual.size.dtype)], dim=1),
        valid=torch.cat([visual.valid, crops.has_newline], dim=1),
        owner=visual.owner + more * (visual.owner >= slots),
    )


def _best(high: int, wide: int, pinpoints: Sequence[Grid]) -> Grid:
    """The resolution that keeps most of the image's pixels, and of these wastes the least."""

    def worth(best: Grid) -> tuple[int, int]:
        scale = min(best[1] / wide, best[0] / high)
        kept = min(int(high * scale) * int(wide * scale), high * wide)
        return kept, kept - best[0] * best[1]

    return max(pinpoints, key=worth)


def _unpadded(high: int, wide: int, patches: Grid) -> tuple[Grid, Grid]:
    """Patches that are no padding, high and wide, and how many rows and columns stand before."""
    if wide / high > patches[1] / patches[0]:
        padding = (patches[0] - int(round(high * (patches[1] / wide), 7))) // 2
        return (patches[0] - 2 * padding, patches[1]), (padding, 0)
    padding = (patches[1] - int(round(wide * (patches[0] / high), 7))) // 2
    return (patches[0], patches[1] - 2 * padding), (0, padding)


def _grid_of(patches: Sequence[int], across: int) -> Grid:
    """A full rectangle of patches, high and wide."""
    return len({patch // across for patch in patches}), len({patch % across for patch in patches})


def _even(tower: Crops | None) -> bool:
    """Whether all crops have as many patches that are no padding, and each some."""
    parts = tower.rectangles if tower else ()
    crops = sum(len(part.crop) for part in parts)
    return len({len(part.patch) for part in parts}) < 2 and (not tower or crops == len(tower.place))


def _crops(view: View) -> int:
    """How many the tower sees, the whole image's among them."""
    return 1 + view.crops[0] * view.crops[1]
