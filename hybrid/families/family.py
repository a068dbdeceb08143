"""What a family of models has to say, so that the path of `hybrid.model` can run it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from hybrid.config import ConfigError
from hybrid.inputs import Images, Inputs
from hybrid.language import Language
from hybrid.merging import VisualTokens
from hybrid.methods import Stages


class Alike(NamedTuple):
    """Images of one size.

    Attributes:
        image: [G] int64, which of the I images; None for all.
        grid: their tokens, high and wide.
        looked: what the tower made of these, as `hybrid.vision.Looked`.
    """

    image: Tensor | None
    grid: tuple[int, int]
    looked: Any


class Family(ABC):
    """A checkpoint of one kind.

    Attributes:
        model_type: what its config.json says.
        name: as people call it.
        model_class: transformers' own.
        takes: what `place` is told of images beside their pixels; other keys of its processor's are
            in `ignores`.
        language: the language model.
        vision: the tower.
        projector: from its features to the language model's width.
        image_token_id: of the placeholders.
        patches: placeholders of an image; None if that depends on the image.
        slots: N, what of these is handed to the language model; None likewise.
    """

    model_type: ClassVar[str]
    name: ClassVar[str]
    model_class: ClassVar[Any]
    takes: ClassVar[tuple[str, ...]] = ()
    ignores: ClassVar[tuple[str, ...]] = ()
    language: Language
    vision: Any
    projector: Any
    image_token_id: int
    patches: int | None
    slots: int | None

    @classmethod
    @abstractmethod
    def check(cls, settings: Any) -> None:
        """Refuse a checkpoint that is not of this family.

        Args:
            settings: its own configuration.

        Raises:
            ConfigError: naming what was found and what is supported.
        """

    @abstractmethod
    def __init__(self, model: Any, stages: Stages) -> None:
        """Take the parts of transformers' model; weights are used, not copied."""

    @abstractmethod
    def place(
        self,
        input_ids: Tensor,
        pixel_values: Tensor | None,
        attention_mask: Tensor | None,
        **images: Tensor,
    ) -> Inputs:
        """Check a batch, and find where everything stands; on the host if it is there.

        Args:
            images: what else the family's processor says of images.

        Raises:
            ConfigError: naming the row, or the size, that is wrong.
        """

    def demand_host(self, input_ids: Tensor) -> None:
        """Raises ConfigError if prompts that have to be looked at are on the device already."""
        if input_ids.device.type != "cpu":
            raise ConfigError(
                f"prompts of {self.name} are looked at on the host: leave them there, and"
                " HybridLlava uploads them"
            )

    @abstractmethod
    def look(self, inputs: Inputs) -> Any:
        """What the tower makes of the I images of a batch, as `hybrid.vision.Looked`."""

    def alike(self, inputs: Inputs, looked: Any) -> list["Alike"]:
        """What a hand-over stage is given: images of one size at a time."""
        return [Alike(None, self.vision.grid, looked)]

    def grids(self, inputs: Inputs) -> list[tuple[int, int]]:
        """Tokens, high and wide, of images that a hand-over stage is given, of each size."""
        grid: tuple[int, int] = self.vision.grid
        return [grid]

    def slots_of(self, inputs: Inputs, left: Callable[[tuple[int, int]], int]) -> int:
        """N of a placed batch, which the host knows.

        Args:
            left: how many tokens of an image, high and wide, are handed on.
        """
        images = inputs.images
        if images is None:
            assert self.slots is not None
            return self.slots
        most = max(map(left, self.grids(inputs)), default=1)
        return min(images.index.shape[1] * most, images.placeholders)

    def cells(self, inputs: Inputs, position: Tensor) -> Tensor:
        """Row and column of placeholders [B, N] in their images: [B, N, 2] int64."""
        if inputs.images is not None:
            return inputs.images.cell.gather(1, position[..., None].expand(-1, -1, 2))
        wide = self.vision.grid[1]
        return torch.stack([position // wide, position % wide], dim=-1)

    def project(self, features: Tensor) -> Tensor:
        """Features [.., n, D] of the tower -> the language model's width."""
        projected: Tensor = self.projector(features)
        return projected

    def embed(self, visual: VisualTokens, inputs: Inputs) -> Tensor:
        """What the language model reads at the N slots of each prompt: [B, N, D]."""
        return self.project(visual.features)

    def deeper(self, visual: VisualTokens) -> Sequence[Tensor]:
        """What is added at the N slots behind layer 0, 1, ...: [B, N, D] each."""
        return ()

    def to_prompts(self, visual: VisualTokens, inputs: Inputs, *, whole: bool) -> VisualTokens:
        """From tokens of I images to those of B prompts. whole: whether nothing was dropped yet."""
        return visual if inputs.images is None else joined(visual, inputs.images)


def nothing(width: int, inputs: Inputs) -> VisualTokens:
    """The tokens [0, 1] of no image."""
    features = inputs.pixel_values.new_zeros(0, 1, width)
    none = torch.zeros(0, 1, dtype=torch.long, device=features.device)
    return VisualTokens(features, none, none.float(), none.bool(), none)


def joined(visual: VisualTokens, images: Images) -> VisualTokens:
    """The tokens of each prompt's images, one image behind the other.

    Args:
        visual: [I, n]; positions count from 0 in each image.

    Returns:
        [B, C n], or fewer if its placeholders are; positions are among the prompt's placeholders.
        Padding stands behind each image, or behind all where slots are more than placeholders.
    """
    slots, prompts = visual.valid.shape[1], len(images.index)
    if not len(visual.valid):  # no prompt has an image: one slot, in which nothing is
        features = visual.features.new_zeros(prompts, 1, visual.features.shape[-1])
        none = images.index[:, :1] * 0
        return VisualTokens(features, none, none.float(), none.bool(), none[:, :0])

    def taken(tensor: Tensor) -> Tensor:
        return tensor[images.index].flatten(1, 2)

    here = images.present[..., None].expand(-1, -1, slots).flatten(1, 2)
    valid = taken(visual.valid) & here
    position = taken(visual.position) + images.offset[..., None].expand(-1, -1, slots).flatten(1, 2)
    # A patch that is nowhere stays so: its owner is one past the last slot.
    owner = visual.owner[images.index]  # [B, C, P]
    nth = torch.arange(images.index.shape[1], device=owner.device)[:, None]
    nowhere = (owner >= slots) | ~images.present[..., None]
    owner = (owner + slots * nth).masked_fill(nowhere, valid.shape[1]).flatten(1, 2)
    together = VisualTokens(
        features=taken(visual.features),
        position=position.masked_fill(~valid, 0),
        size=taken(visual.size).masked_fill(~valid, 0.0),
        valid=valid,
        owner=owner,
        forced=visual.forced
        if visual.forced is None
        else (visual.forced[images.index] * images.present).sum(dim=1),
    )
    if valid.shape[1] <= images.placeholders:
        return together
    first = (~valid).int().argsort(dim=1, stable=True)
    return picked(together, first[:, : images.placeholders])


def together(
    parts: Sequence[tuple[Tensor | None, VisualTokens]], visual: VisualTokens
) -> VisualTokens:
    """I images again, in as many slots as the most of them have, of those of each size.

    Args:
        parts: which images, None for all, and what is left of them.
        visual: of all, [I, n], before.
    """
    if parts[0][0] is None:
        return parts[0][1]
    slots = max(part.valid.shape[1] for _, part in parts)
    images, patches = visual.owner.shape
    features = visual.features.new_zeros(images, slots, visual.features.shape[-1])
    position = visual.position.new_zeros(images, slots)
    size, valid = position.float(), position.bool()
    owner = torch.full_like(visual.owner, slots)
    for image, part in parts:
        assert image is not None
        kept, read = part.valid.shape[1], part.owner.shape[1]
        more = 0, slots - kept
        features = features.index_copy(0, image, pad(part.features, (0, 0, *more)))
        position = position.index_copy(0, image, pad(part.position, more))
        size = size.index_copy(0, image, pad(part.size, more))
        valid = valid.index_copy(0, image, pad(part.valid, more))
        went = part.owner.masked_fill(part.owner >= kept, slots)
        owner = owner.index_copy(0, image, pad(went, (0, patches - read), value=slots))
    return VisualTokens(features, position, size, valid, owner, visual.forced)


def picked(visual: VisualTokens, order: Tensor) -> VisualTokens:
    """Slots [B, K] of N, each at most once; what is left out is in none."""
    slots, width = order.shape[1], visual.features.shape[-1]
    went = torch.full_like(visual.position, slots).scatter(
        1, order, torch.arange(slots, device=order.device).expand_as(order)
    )
    went = torch.cat([went, torch.full_like(went[:, :1], slots)], dim=1)  # of what is in none
    return replace(
        visual,
        features=visual.features.gather(1, order[..., None].expand(-1, -1, width)),
        position=visual.position.gather(1, order),
        size=visual.size.gather(1, order),
        valid=visual.valid.gather(1, order),
        owner=went.gather(1, visual.owner),
    )
