"""A batch on its way to the device: everything that needs a look at values is checked here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from itertools import groupby
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn.functional import pad

from hybrid.config import ConfigError
from hybrid.rope import Spots, spots_of

T = TypeVar("T")


@dataclass(frozen=True)
class Images:
    """Which images stand in which prompt: B prompts of C images at most.

    Attributes:
        index: [B, C] int64, an image's number among all of the batch, 0 where there is none.
        present: [B, C] bool.
        offset: [B, C] int64, which of its prompt's placeholders is the image's first.
        cell: [B, V, 2] int64, the row and column of each placeholder in its image.
        prompt: [I] int64, where each image stands.
        nth: [I] int64, how many images stand before it there.
        number: [B, V] int64, which of its prompt's images each placeholder is of.
        sizes: placeholders of each image, a list a prompt, on the host.
        placeholders: V, the most that a prompt has.
        even: whether all prompts have as many images, and these as many placeholders.
    """

    index: Tensor
    present: Tensor
    offset: Tensor
    cell: Tensor
    prompt: Tensor
    nth: Tensor
    number: Tensor
    sizes: tuple[tuple[int, ...], ...]
    placeholders: int
    even: bool


@dataclass(frozen=True)
class Inputs:
    """A checked batch on the device.

    Attributes:
        input_ids: [B, S] int64.
        pixel_values: what the tower takes: [I, 3, H, W] of I images, or as its family says.
        attention_mask: [B, S] int64.
        padded: False only if it is known that no row has padding, and all as many placeholders.
        spots: where text and placeholders stand.
        position_ids: [B, S] int64, or [A, B, S] of a model with A axes: the logical ones.
        images: None where each prompt has one image, in order.
        tower: what else the family's tower takes.
    """

    input_ids: Tensor
    pixel_values: Tensor
    attention_mask: Tensor
    padded: bool
    spots: Spots
    position_ids: Tensor
    images: Images | None = None
    tower: Any = None

    @property
    def batch(self) -> int:
        """Samples in the batch."""
        return self.input_ids.shape[0]


def mapped(value: T, do: Callable[[Tensor], Tensor]) -> T:
    """The same with each tensor in it replaced, in nested dataclasses and tuples, too."""
    made: Any = value
    if isinstance(value, Tensor):
        made = do(value)
    elif isinstance(value, tuple):
        parts = [mapped(each, do) for each in value]
        made = type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    elif is_dataclass(value) and not isinstance(value, type):
        made = replace(value, **{f.name: mapped(getattr(value, f.name), do) for f in fields(value)})
    return made  # type: ignore[no-any-return]


def tensors_of(inputs: Inputs) -> list[Tensor]:
    """All that `mapped` reaches, in its order."""
    found: list[Tensor] = []
    mapped(inputs, lambda tensor: found.append(tensor) or tensor)  # type: ignore[func-returns-value]
    return found


def uploaded(inputs: Inputs, device: torch.device) -> Inputs:
    """Copied to `device` without waiting."""
    return mapped(inputs, lambda tensor: upload(tensor, device))


def upload(tensor: Tensor, device: torch.device) -> Tensor:
    """The same on `device`; the host does not wait for the copy."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()  # a copy from pageable memory would make the host wait
    return tensor.to(device, non_blocking=True)


def mask_of(input_ids: Tensor, attention_mask: Tensor | None) -> tuple[Tensor, bool]:
    """The attention mask, and whether there may be padding.

    Of ids on an accelerator no value is looked at, because the host would wait.

    Raises:
        ConfigError: naming the row that is padded on the right, or is nothing but padding.
    """
    if attention_mask is None:
        return torch.ones_like(input_ids), False
    if input_ids.device.type != "cpu":
        return attention_mask, True
    if bool((attention_mask[:, 1:] < attention_mask[:, :-1]).any()):
        row = int((attention_mask[:, 1:] < attention_mask[:, :-1]).any(dim=1).int().argmax())
        raise ConfigError(
            f"prompt {row} is padded on the right: set processor.tokenizer.padding_side = 'left'"
        )
    if not bool(attention_mask[:, -1].all()):
        raise ConfigError("a prompt is empty: its attention_mask is all 0")
    return attention_mask, not bool(attention_mask.all())


def runs_of(is_image: Tensor) -> list[list[int]]:
    """How long each run of placeholders is, a list a prompt [S] on the host.

    Raises:
        ConfigError: a prompt ends with its image.
    """
    found = []
    for row, places in enumerate(is_image.tolist()):  # sync-ok: still on the host
        if places and places[-1]:
            raise ConfigError(
                f"prompt {row} ends with its image: text must follow, "
                "since its last token ranks the visual ones"
            )
        found.append([len([*run]) for here, run in groupby(places) if here])
    return found


def cells_of(high: int, wide: int) -> Tensor:
    """Rows and columns of an image in raster order: [high wide, 2] int64."""
    return torch.cartesian_prod(torch.arange(high), torch.arange(wide))


def images_in(runs: list[list[int]], sizes: Sequence[int]) -> list[list[int]]:
    """Which images stand in each prompt, by number; two may stand side by side.

    Args:
        runs: of placeholders, a list a prompt.
        sizes: how many placeholders each image takes, in order.

    Raises:
        ConfigError: naming the prompt whose placeholders are not those of the next images, or how
            many images have none.
    """
    found, number = list[list[int]](), 0
    for row, of_prompt in enumerate(runs):
        found.append([])
        for run in of_prompt:
            room = run
            while room and number < len(sizes) and sizes[number] <= room:
                room -= sizes[number]
                found[-1].append(number)
                number += 1
            if room:
                have = "there is no image left"
                if number < len(sizes):
                    have = f"the next image takes {sizes[number]}"
                raise ConfigError(
                    f"prompt {row} holds {run} image placeholders in a row, and {have}: give the"
                    " images that the prompts were written for"
                )
    if number < len(sizes):
        raise ConfigError(
            f"{len(sizes) - number} of {len(sizes)} images have no placeholders in any prompt: give"
            " the images that the prompts were written for"
        )
    return found


def images_of(cells: Sequence[Sequence[Tensor]], parts: Sequence[int] | None = None) -> Images:
    """Where images stand, on the host.

    Args:
        cells: of each image of each prompt, the row and column of its placeholders [n, 2].
        parts: how many crops the tower sees of each image, one behind the other. Each counts as an
            image then, which stands where its image does.
    """
    sizes = [[len(image) for image in of_prompt] for of_prompt in cells]
    left = iter(parts or [1] * sum(map(len, sizes)))
    begins = [
        [begin for begin in _before(of_prompt) for _ in range(next(left))] for of_prompt in sizes
    ]
    where = [(row, nth) for row, of_prompt in enumerate(begins) for nth in range(len(of_prompt))]
    rows = torch.tensor(where, dtype=torch.long)  # sync-ok: on the host
    prompt, nth = rows.view(-1, 2).unbind(dim=1)
    most, placeholders = max(1, *map(len, begins)), max(1, *map(sum, sizes))
    index, offset = torch.zeros(2, len(sizes), most, dtype=torch.long)
    present = torch.zeros(len(sizes), most, dtype=torch.bool)
    for number, (row, before) in enumerate(where):
        index[row, before], offset[row, before] = number, begins[row][before]
        present[row, before] = True
    cell = torch.zeros(len(sizes), placeholders, 2, dtype=torch.long)
    owner = torch.zeros(len(sizes), placeholders, dtype=torch.long)
    for row, of_prompt in enumerate(cells):
        for image, (begin, each) in enumerate(zip(_before(sizes[row]), of_prompt, strict=True)):
            cell[row, begin : begin + len(each)] = each
            owner[row, begin : begin + len(each)] = image
    even = len({length for of_prompt in sizes for length in of_prompt}) < 2 and bool(present.all())
    of_prompts = tuple(map(tuple, sizes))
    return Images(index, present, offset, cell, prompt, nth, owner, of_prompts, placeholders, even)


def _before(sizes: Sequence[int]) -> list[int]:
    """The sum of what stands before each."""
    return [sum(sizes[:nth]) for nth in range(len(sizes))]


def arranged(
    input_ids: Tensor,
    pixel_values: Tensor,
    attention_mask: Tensor,
    is_image: Tensor,
    *,
    padded: bool,
    placeholders: int,
    position_ids: Tensor,
    images: Images | None = None,
    tower: Any = None,
) -> Inputs:
    """A batch of prompts that each hold V placeholders; where `images` are given, V at most.

    Rows with fewer hold more text, all of it padding. So that the longest text and V placeholders
    find room side by side, rows may grow on the left.
    """
    texts = None
    if images is not None:
        counts = is_image.sum(dim=1)
        texts = int((attention_mask.sum(dim=1) - counts).max())
        missing = max(0, texts + placeholders - input_ids.shape[1])
        padded = padded or missing > 0 or bool((counts != placeholders).any())
        input_ids, attention_mask, position_ids = (
            pad(each, (missing, 0)) for each in (input_ids, attention_mask, position_ids)
        )
        is_image = pad(is_image, (missing, 0))
    return Inputs(
        input_ids=input_ids,
        pixel_values=pixel_values,
        attention_mask=attention_mask,
        padded=padded,
        spots=spots_of(is_image, placeholders, texts),
        position_ids=position_ids,
        images=images,
        tower=tower,
    )
