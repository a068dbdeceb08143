"""What an arm kept of an image, drawn over the image as the model saw it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from bench.arms.models import Answerer, load_checkpoint
from bench.arms.own import known, own_of
from bench.arms.profiles import Profile, load_profile, profile_of_model
from bench.arms.published import METHODS
from bench.base.errors import UserError
from bench.tasks import Sample
from hybrid import HybridConfig, Keep
from hybrid.config import ConfigError
from hybrid.state import Trace

SIDE = 336  # pixels of a drawn picture at least
DIMMED = 0.22  # brightness of what was pruned
BORDER = (255, 255, 255)
REPRESENTATIVE = (255, 140, 0)


@dataclass(frozen=True)
class Kept:
    """One sample of one arm.

    Attributes:
        owner: [P] the representative patch of the token that each patch was merged into.
        kept: [P] whether that token was kept.
    """

    owner: NDArray[np.int64]
    kept: NDArray[np.bool_]

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
        inputs = answerer.encode([s.prompt for s in batch], [s.image() for s in batch])
        assert answerer.hybrid is not None
        state = answerer.hybrid.prefill(answerer.hybrid.place(**inputs), 1)
        views = model_views(inputs["pixel_values"], answerer.processor.image_processor)
        for row, (sample, view) in enumerate(zip(batch, views, strict=True)):
            kept = kept_patches(state.trace, row)
            drawn[sample.index] = (draw(view, kept), kept.caption())
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
    """One sample of a trace, per patch."""
    slot_of_patch = trace.visual.owner[sample].cpu()
    position, stays = trace.visual.position[sample].cpu(), trace.visual.valid[sample].cpu()
    if trace.kept is not None:
        slots = trace.kept.slot[sample][trace.kept.valid[sample]].cpu()
        stays = torch.zeros_like(stays).index_fill_(0, slots, True)
    # A patch that was not handed on is in no slot: it stands for itself, and does not stay.
    gone = slot_of_patch == len(position)
    slot_of_patch = slot_of_patch.masked_fill(gone, 0)
    itself = torch.arange(len(slot_of_patch))
    representative = torch.where(gone, itself, position[slot_of_patch])
    return Kept(representative.numpy(), (stays[slot_of_patch] & ~gone).numpy())


def draw(view: Image.Image, kept: Kept) -> Image.Image:
    """The image with pruned patches dark, lines between tokens, and a mark on the patch that each
    kept token of several patches stands at.

    Args:
        view: square or not, what the grid of patches covers.
        kept: of a square grid.
    """
    side = isqrt(len(kept.owner))
    scale = -(-SIDE // view.width)
    image = view.resize((view.width * scale, view.height * scale), Image.Resampling.NEAREST)
    edges_x = [round(i * image.width / side) for i in range(side + 1)]
    edges_y = [round(i * image.height / side) for i in range(side + 1)]
    stays = Image.fromarray(kept.kept.reshape(side, side).astype(np.uint8) * 255)
    mask = stays.resize(image.size, Image.Resampling.NEAREST)
    image = Image.composite(image, image.convert("L").convert("RGB").point(_dim), mask)
    pen = ImageDraw.Draw(image)
    owner = kept.owner.reshape(side, side)
    bright = kept.kept.reshape(side, side)
    sizes = dict(zip(*np.unique(kept.owner, return_counts=True), strict=True))
    for y in range(side):
        for x in range(side):
            left, top, right, bottom = edges_x[x], edges_y[y], edges_x[x + 1], edges_y[y + 1]
            if not bright[y, x]:
                continue
            if x == 0 or owner[y, x - 1] != owner[y, x]:
                pen.line([(left, top), (left, bottom)], fill=BORDER)
            if y == 0 or owner[y - 1, x] != owner[y, x]:
                pen.line([(left, top), (right, top)], fill=BORDER)
            if x == side - 1 or owner[y, x + 1] != owner[y, x]:
                pen.line([(right - 1, top), (right - 1, bottom)], fill=BORDER)
            if y == side - 1 or owner[y + 1, x] != owner[y, x]:
                pen.line([(left, bottom - 1), (right, bottom - 1)], fill=BORDER)
            if owner[y, x] == y * side + x and sizes[owner[y, x]] > 1:
                middle = ((left + right) // 2, (top + bottom) // 2)
                pen.ellipse(
                    [middle[0] - 3, middle[1] - 3, middle[0] + 3, middle[1] + 3],
                    fill=REPRESENTATIVE,
                )
    return image


def _dim(level: float) -> int:
    return int(level * DIMMED)
