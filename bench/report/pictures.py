"""What an arm kept of an image, drawn over the image as the model saw it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from bench.arms.families import LLAVA
from bench.arms.models import Answerer, load_checkpoint
from bench.arms.own import known, own_of
from bench.arms.profiles import Profile, load_profile, profile_of_model
from bench.arms.published import METHODS
from bench.base.errors import UserError
from bench.tasks import Sample
from hybrid import HybridConfig, Keep
from hybrid.config import ConfigError
from hybrid.inputs import Inputs
from hybrid.state import Trace

SIDE = 336  # pixels of a drawn picture at least
DIMMED = 0.22  # brightness of what was pruned
BORDER = (255, 255, 255)
REPRESENTATIVE = (255, 140, 0)


@dataclass(frozen=True)
class Kept:
    """One sample of one arm; where a family says so, a patch is a placeholder of the prompt.

    Attributes:
        owner: [P] the representative patch of the token that each patch was merged into.
        kept: [P] whether that token was kept.
        grid: patches, high and wide.
    """

    owner: NDArray[np.int64]
    kept: NDArray[np.bool_]
    grid: tuple[int, int]

    @property
    def tokens(self) -> int:
        return len(np.unique(self.owner))

    @property
    def kept_tokens(self) -> int:
        return len(np.unique(self.owner[self.kept]))

    def caption(self) -> str:
        return (
            f"{self.kept_tokens} of {self.tokens} tokens kept,"
            f" from {len(self.owner)} patches; {int(self.kept.sum())} patches are in them"
        )


def arm_pictures(
    document: Mapping[str, Any], samples: Sequence[Sample], profile: Profile | None = None
) -> dict[int, tuple[Image.Image, str]]:
    """Picture and caption by sample index, for a run that run.json describes.

    The vision tower and the prefill are run again, with the code installed now.

    Args:
        profile: one of the user's own; taken if its models are called as the run's is, and a
            shipped one if not.

    Raises:
        UserError: the run reduced nothing, or its checkpoint is not here.
    """
    config = _config(document)
    profile = _profile(str(document.get("model")), profile)
    checkpoint = load_checkpoint(profile)
    if checkpoint.weights_hash != document.get("data", {}).get("weights"):
        raise UserError(f"the weights of {document.get('model')} here are not the run's")
    answerer = Answerer(checkpoint, config)
    drawn: dict[int, tuple[Image.Image, str]] = {}
    size = profile.data.batch_size
    for start in range(0, len(samples), size):
        batch = samples[start : start + size]
        images = [s.image() for s in batch]
        encoded = answerer.encode([s.prompt for s in batch], images)
        for sample, shown in zip(batch, Shown.of(answerer, encoded, images), strict=True):
            drawn[sample.index] = (shown.picture(), shown.caption())
    return drawn


def _profile(model: str, own: Profile | None) -> Profile:
    if own is not None and f"{model}_".startswith(f"{own.model.names}_"):
        return own
    name, _ = profile_of_model(model)
    return load_profile(name)


def _config(document: Mapping[str, Any]) -> HybridConfig:
    settings = dict(document.get("config", {}))
    if settings.get("implementation") == "transformers":
        raise UserError("it is transformers' own model, which keeps every patch")
    if "method" in settings:
        return _method_config(document)
    try:
        return HybridConfig(**settings)
    except (TypeError, ConfigError) as error:
        raise UserError(f"its run.json has no config that this version knows ({error})") from error


def _method_config(document: Mapping[str, Any]) -> HybridConfig:
    """Raises UserError if the method is not here, or is another by now."""
    asked = document.get("asked", {})
    if not {"arm", "keep"} <= asked.keys():
        raise UserError("its run.json does not say which method it is")
    own = own_of(known(asked["arm"]))
    if dict(document.get("method", {})) != dict(own.files if own else {}):
        raise UserError(f"{asked['arm']} has been edited since")
    keep = Keep.parse(asked["keep"])
    make = own.of if own else METHODS[asked["arm"]]
    return HybridConfig(method=(make(keep),))


def model_views(pixel_values: torch.Tensor, image_processor: Any) -> list[Image.Image]:
    """pixel_values [B, 3, H, W] back to images, scaled and cropped as the model saw them."""
    mean = torch.tensor(image_processor.image_mean)[:, None, None]
    std = torch.tensor(image_processor.image_std)[:, None, None]
    bright = ((pixel_values.float() * std + mean) * 255).round().clamp(0, 255)
    return [Image.fromarray(image.permute(1, 2, 0).to(torch.uint8).numpy()) for image in bright]


def kept_patches(trace: Trace, sample: int) -> Kept:
    """One sample of a trace, per patch of the one square that all images are."""
    slot_of_patch = trace.visual.owner[sample].cpu()
    position, stays = _handed(trace, sample)
    # A patch that was not handed on is in no slot: it stands for itself, and does not stay.
    gone = slot_of_patch == len(position)
    slot_of_patch = slot_of_patch.masked_fill(gone, 0)
    itself = torch.arange(len(slot_of_patch))
    representative = torch.where(gone, itself, position[slot_of_patch])
    side = round(len(itself) ** 0.5)
    kept = (stays[slot_of_patch] & ~gone).numpy()
    return Kept(representative.numpy(), kept, (side, side))


def _handed(trace: Trace, sample: int) -> tuple[Tensor, Tensor]:
    """Of each visual slot its representative's position, and whether it stays to the end."""
    position, stays = trace.visual.position[sample].cpu(), trace.visual.valid[sample].cpu()
    if trace.kept is not None:
        slots = trace.kept.slot[sample][trace.kept.valid[sample]].cpu()
        stays = torch.zeros_like(stays).index_fill_(0, slots, True)
    return position, stays


@dataclass(frozen=True)
class Shown:
    """What became of one image, as the language model is handed it.

    Attributes:
        whole: all of it; of LLaVA-NeXT, with its newlines.
        parts: what can be drawn, each over a view: the image; of LLaVA-NeXT, the whole image and
            its crops.
    """

    whole: Kept
    parts: Sequence[tuple[Image.Image, Kept]]

    @classmethod
    def of(
        cls, answerer: Answerer, encoded: Mapping[str, Tensor], images: Sequence[Image.Image]
    ) -> list["Shown"]:
        """Prompts with an image each, prefilled once. encoded: of them, by `answerer`."""
        model = answerer.hybrid
        assert model is not None
        inputs = model.place(**dict(encoded))
        return cls.seen(answerer, encoded, images, inputs, model.prefill(inputs, 1).trace)

    @classmethod
    def seen(
        cls,
        answerer: Answerer,
        encoded: Mapping[str, Tensor],
        images: Sequence[Image.Image],
        inputs: Inputs,
        trace: Trace,
    ) -> list["Shown"]:
        """The same where the prefill's trace is there."""
        if answerer.kind.model_type == LLAVA:
            views = model_views(encoded["pixel_values"], answerer.processor.image_processor)
            each = [kept_patches(trace, row) for row in range(len(views))]
            return [cls(kept, [(view, kept)]) for view, kept in zip(views, each, strict=True)]
        vision = answerer.llava.config.vision_config
        shown = []
        for row, image in enumerate(images):
            if "image_grid_thw" in encoded:
                owner, stays = _placeholders(trace, inputs, row)
                merge = vision.spatial_merge_size
                high, wide = (int(n) // merge for n in encoded["image_grid_thw"][row, 1:])
                kept = Kept(owner[: high * wide], stays[: high * wide], (high, wide))
                shown.append(cls(kept, [(_resized(image, kept, merge * vision.patch_size), kept)]))
            else:
                placed = _placeholders(trace, inputs, row, inputs.tower.place)
                shown.append(_crops(image, placed, inputs, row, vision))
        return shown

    def picture(self) -> Image.Image:
        """Its parts side by side."""
        drawn = [draw(view, kept) for view, kept in self.parts]
        size = sum(each.width for each in drawn), max(each.height for each in drawn)
        together = Image.new("RGB", size)
        left = 0
        for each in drawn:
            together.paste(each, (left, 0))
            left += each.width
        return together

    def caption(self) -> str:
        """In words."""
        return self.whole.caption()


Placed = tuple[NDArray[np.int64], NDArray[np.bool_]]


def _placeholders(trace: Trace, inputs: Inputs, sample: int, laid: Tensor | None = None) -> Placed:
    """Owner and kept of each placeholder of a prompt, of a family that says where these stand.

    A newline is no patch of the tower: it stays if its own slot does.

    Args:
        laid: [C, P], of each crop which placeholder a patch stands for, -1 for none; None where
            placeholders are patches.
    """
    images = inputs.images
    assert images is not None
    position, stays = _handed(trace, sample)
    itself = torch.arange(images.placeholders)
    owner, kept = itself.clone(), torch.zeros(len(itself), dtype=torch.bool)
    kept[position[stays]] = True
    slots = trace.visual.owner[sample].cpu()  # of each patch, an image behind the other
    if laid is None:
        where = torch.arange(len(slots))
    else:
        where = laid.cpu()[images.index[sample][images.present[sample]].cpu()].flatten()
    slots = slots[: len(where)]
    there = (where >= 0) & (where < len(itself)) & (slots < len(position))
    owner[where[there]] = position[slots[there]]
    kept[where[there]] = stays[slots[there]]
    return owner.numpy(), kept.numpy()


def _resized(image: Image.Image, kept: Kept, patch: int) -> Image.Image:
    """An image as its processor resizes it, to whole patches of so many pixels."""
    high, wide = kept.grid
    return image.convert("RGB").resize((wide * patch, high * patch), Image.Resampling.BICUBIC)


def _crops(image: Image.Image, placed: Placed, inputs: Inputs, sample: int, vision: Any) -> Shown:
    """LLaVA-NeXT's: the whole image, and the finer one that its crops are laid out as."""
    assert inputs.images is not None
    owner, kept = placed
    side = vision.image_size // vision.patch_size
    patches = side * side
    fine = inputs.images.cell[sample, patches:].cpu().amax(dim=0)  # a row's last is its newline
    high, wide = int(fine[0]) + 1, int(fine[1])
    count = patches + high * (wide + 1)
    whole = Kept(owner[:count], kept[:count], (1, count))
    coarse = Kept(owner[:patches], kept[:patches], (side, side))
    row, column = np.divmod(owner[patches:count] - patches, wide + 1)
    rows = (row * wide + column).reshape(high, wide + 1)[:, :-1]
    stays = kept[patches:count].reshape(high, wide + 1)[:, :-1]
    finer = Kept(rows.flatten(), stays.flatten(), (high, wide))
    parts = [(_resized(image, each, vision.patch_size), each) for each in (coarse, finer)]
    return Shown(whole, parts)


def draw(view: Image.Image, kept: Kept) -> Image.Image:
    """The image with pruned patches dark, lines between tokens, and a mark on the patch that each
    kept token of several patches stands at.

    Args:
        view: square or not, what the grid of patches covers.
    """
    high, wide = kept.grid
    scale = -(-SIDE // view.width)
    image = view.resize((view.width * scale, view.height * scale), Image.Resampling.NEAREST)
    edges_x = [round(i * image.width / wide) for i in range(wide + 1)]
    edges_y = [round(i * image.height / high) for i in range(high + 1)]
    stays = Image.fromarray(kept.kept.reshape(high, wide).astype(np.uint8) * 255)
    mask = stays.resize(image.size, Image.Resampling.NEAREST)
    image = Image.composite(image, image.convert("L").convert("RGB").point(_dim), mask)
    pen = ImageDraw.Draw(image)
    owner = kept.owner.reshape(high, wide)
    bright = kept.kept.reshape(high, wide)
    sizes = dict(zip(*np.unique(kept.owner, return_counts=True), strict=True))
    for y in range(high):
        for x in range(wide):
            left, top, right, bottom = edges_x[x], edges_y[y], edges_x[x + 1], edges_y[y + 1]
            if not bright[y, x]:
                continue
            if x == 0 or owner[y, x - 1] != owner[y, x]:
                pen.line([(left, top), (left, bottom)], fill=BORDER)
            if y == 0 or owner[y - 1, x] != owner[y, x]:
                pen.line([(left, top), (right, top)], fill=BORDER)
            if x == wide - 1 or owner[y, x + 1] != owner[y, x]:
                pen.line([(right - 1, top), (right - 1, bottom)], fill=BORDER)
            if y == high - 1 or owner[y + 1, x] != owner[y, x]:
                pen.line([(left, bottom - 1), (right, bottom - 1)], fill=BORDER)
            if owner[y, x] == y * wide + x and sizes[owner[y, x]] > 1:
                middle = ((left + right) // 2, (top + bottom) // 2)
                pen.ellipse(
                    [middle[0] - 3, middle[1] - 3, middle[0] + 3, middle[1] + 3],
                    fill=REPRESENTATIVE,
                )
    return image


def _dim(level: float) -> int:
    return int(level * DIMMED)
