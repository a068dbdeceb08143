"""Model names -> something that answers: transformers' dense model, or a `HybridLlava`."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from transformers.utils import logging as transformers_logging

from bench.arms.checkpoint.config import checked_config
from bench.arms.checkpoint.files import demand_safetensors, some_of
from bench.arms.checkpoint.identity import checkpoint_files, processor_hash, weights_hash
from bench.arms.families import LLAVA, kind_of
from bench.arms.greedy import answer_greedily, stored_settings
from bench.arms.image_sizes import AnySizes, ImageSizes, said
from bench.arms.own import known, own_of
from bench.arms.processor import PROCESSORS, fit_processor, set_pixels
from bench.arms.profiles import DTYPES as DTYPE_NAMES
from bench.arms.profiles import Profile
from bench.arms.published import METHODS
from bench.base.errors import UserError
from bench.base.remark import remark
from bench.tasks.prompts import CHATS, DEFAULT_CHAT
from hybrid import HybridConfig, HybridLlava, Keep

REASON = 300  # characters of a library's reason that are said
DTYPES: dict[str, torch.dtype] = {name: getattr(torch, name) for name in DTYPE_NAMES}


def arm_config(arm: str, profile: Profile, keep: Keep) -> HybridConfig | None:
    """What an arm reduces; None is transformers as it ships.

    `random`, `lowest` and `compact` are the hybrid with one thing broken, at the same budget; the
    names of `hybrid.methods`, and of methods that `bench.arms.own` knows, are these methods alone.

    Raises:
        UserError: there is no such arm, or the profile gives it nothing to merge by.
    """
    reduction = profile.reduction
    if arm == "dymu" and reduction.thresholds is None:
        raise UserError(
            f"profile {profile.name} has no thresholds, so dymu merges nothing: give it some, of a"
            " LLaVA-1.5's tower, or choose another arm"
        )
    merging: dict[str, Any] = {
        "thresholds": reduction.thresholds,
        "capacity": reduction.capacity,
    }
    if reduction.schedule is not None:  # which an earlier revision's configuration does not know
        merging["schedule"] = reduction.schedule
    pruning: dict[str, Any] = {"keep": keep, "aggregation_layer": reduction.aggregation_layer}
    match arm:
        case "dense":
            return None
        case "off":
            return HybridConfig()
        case "dymu":
            return HybridConfig(**merging)
        case "fastv":
            return HybridConfig(**pruning)
        case "hybrid":
            return HybridConfig(**merging, **pruning)
        case "random":
            return HybridConfig(**merging, **pruning, rank="random")
        case "lowest":
            return HybridConfig(**merging, **pruning, rank="lowest")
        case "compact":
            return HybridConfig(**merging, **pruning, rope="compact")
    if arm in METHODS:
        return HybridConfig(method=(METHODS[arm](keep),))
    own = own_of(known(arm))
    assert own is not None  # what ships is above
    return HybridConfig(method=(own.of(keep),))


@dataclass(frozen=True)
class Checkpoint:
    """A loaded model and its processor; arms share its weights.

    llava: transformers' model, of any family.
    files: each of its files by name, and its digest; see `bench.arms.checkpoint.identity`.
    """

    llava: Any
    processor: Any
    weights_hash: str
    processor_hash: str
    pad_to_square: bool
    files: Mapping[str, str]


def demand_device(profile: Profile) -> None:
    """Raises UserError if the profile's device is missing."""
    device = torch.device(profile.model.device)
    if device.type == "cuda" and torch.cuda.is_available():
        if (device.index or 0) >= torch.cuda.device_count():
            raise UserError(
                f"profile {profile.name} needs {device}, and there are"
                f" {torch.cuda.device_count()} GPUs here: cuda:0 is the first"
            )
    elif device.type == "cuda":
        raise UserError(
            f"profile {profile.name} needs a CUDA device, and there is none here: run it where"
            f' there is one, or give --profile a copy of its file with device = "cpu"'
        )


def demand_aggregation_layer(profile: Profile, layers: int) -> None:
    """Raises UserError if a language model of so many layers has nothing behind that layer.

    Of a single layer nothing can be pruned, so there 0 stands for any.
    """
    layer, last = profile.reduction.aggregation_layer, max(layers - 2, 0)
    if layer > last:
        raise UserError(
            f"profile {profile.name}: reduction.aggregation_layer is {layer}, and pruning behind it"
            f" needs a layer more than that: this language model of {layers} allows 0 to {last}"
        )
    if layers == 1 and Keep.parse(profile.reduction.keep).prunes:
        raise UserError(
            f"profile {profile.name}: reduction.keep is {profile.reduction.keep}, and a language"
            ' model of one layer has none to prune: set keep = "none"'
        )


def load_checkpoint(profile: Profile) -> Checkpoint:
    """Load the profile's model, from a folder or the Hugging Face cache; never from the network.

    Raises:
        UserError: if there is no such checkpoint here, it is of no family that is run, damaged or
            lacks a weight or holds one too many, the profile's reduction or chat does not fit it,
            or the device is missing.
    """
    model = profile.model
    demand_device(profile)
    path = model.path
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    config = checked_config(path)
    demand_aggregation_layer(profile, config.text_config.num_hidden_layers)
    stored_settings(path, config.text_config.vocab_size)  # a damaged file is overlooked later
    demand_safetensors(path)
    torch.set_num_threads(model.threads)
    with _named_if_damaged(f"the checkpoint {path}"):
        # Not by `hybrid`'s own loader: a revision that is compared with may not have it.
        loaded: Any = kind_of(config).model_class.from_pretrained(
            path,
            config=config,
            dtype=DTYPES[model.dtype],
            attn_implementation="sdpa",  # transformers' own choice, unless a file asks for another
            output_loading_info=True,
            local_files_only=True,
            use_safetensors=True,
        )
    llava, report = loaded
    if report["missing_keys"]:  # which transformers has drawn at random
        raise UserError(f"the checkpoint {path} lacks the weight {min(report['missing_keys'])}")
    if report["unexpected_keys"]:  # of layers that its config.json leaves out, for example
        raise UserError(
            f"the checkpoint {path} holds weights that its config.json has no place for"
            f" ({some_of(report['unexpected_keys'])}): correct its config.json, or take the file"
            " that belongs to these weights"
        )
    answer_greedily(llava, path)
    processor = load_processor(path, config)
    set_pixels(processor, profile.data.min_pixels, profile.data.max_pixels)
    demand_chat(profile, processor, config.model_type)
    files = checkpoint_files(path)
    return Checkpoint(
        llava=llava.to(model.device),
        processor=processor,
        weights_hash=weights_hash(path, files),
        processor_hash=processor_hash(files),
        files=files,
        pad_to_square=profile.data.pad_to_square,
    )


def demand_chat(profile: Profile, processor: Any, model_type: str) -> None:
    """Raises UserError if a prompt of the profile's chat holds no image of the processor's; one of
    another model's words is said."""
    chat = CHATS[profile.model.chat]
    if chat.image != processor.image_token:
        fitting = [name for name, each in CHATS.items() if each.image == processor.image_token]
        raise UserError(
            f"profile {profile.name}: model.chat is {profile.model.chat}, whose image is"
            f" {chat.image}, and this checkpoint's is {processor.image_token}: set"
            f" {' or '.join(fitting) or 'the chat that it was trained with'}"
        )
    if model_type == "llava_next" and profile.model.chat == DEFAULT_CHAT:
        remark(
            f"profile {profile.name} asks a {model_type} in the words of {DEFAULT_CHAT}; set"
            " model.chat to llava-next-vicuna to ask as VLMEvalKit does"
        )


def load_processor(path: str, config: Any) -> Any:
    """What turns texts and images into inputs of the model that `config` describes.

    Raises:
        UserError: a file of it is missing or damaged, or does not fit the model.
    """
    with _named_if_damaged(f"the processor of {path}"):
        # Where torchvision is installed, the default is its resizing, which is not Pillow's.
        processor: Any = PROCESSORS[config.model_type].from_pretrained(
            path, local_files_only=True, backend="pil"
        )
    processor.tokenizer.padding_side = "left"
    fit_processor(processor, config, path)
    return processor


@contextmanager
def _named_if_damaged(what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # each library has its own, for what is damaged or not there
        reason = " ".join(str(error).split())[:REASON]
        raise UserError(f"cannot load {what}: {reason}") from error


class Answerer:
    """Turns prompts and images into answers, greedily.

    Args:
        checkpoint: the weights.
        config: the reduction, or None for transformers' own model.
    """

    def __init__(self, checkpoint: Checkpoint, config: HybridConfig | None) -> None:
        self.processor: Any = checkpoint.processor
        self.llava: Any = checkpoint.llava
        self.pad_to_square = checkpoint.pad_to_square
        settings: Any = checkpoint.llava.config
        self.kind = kind_of(settings)
        self.sizes: ImageSizes = AnySizes()
        if self.kind.model_type == LLAVA:
            side: int = settings.vision_config.image_size
            self.sizes = ImageSizes(self.processor, side, square=self.pad_to_square)
        self.hybrid = None if config is None else HybridLlava(checkpoint.llava, config)

    def encode(self, prompts: Sequence[str], images: Sequence[Image.Image]) -> dict[str, Any]:
        """input_ids [B, S], attention_mask [B, S], pixel_values and what else the family takes of
        one image a prompt, on the host.

        Raises:
            UserError: an image does not reach the model at the size that it takes.
        """
        for row, image in enumerate(images):
            if not self.sizes.fits(image.size):
                raise UserError(
                    f"image {row} is {said(image.size)} pixels, {self.sizes.told(image.size)}:"
                    " resize it"
                )
        if self.pad_to_square:
            mean = self.processor.image_processor.image_mean
            images = [padded_to_square(image, mean) for image in images]
        encoded = self.processor(
            text=list(prompts), images=list(images), padding=True, return_tensors="pt"
        )
        return {name: encoded[name] for name in self.kind.inputs}

    def answer(
        self, prompts: Sequence[str], images: Sequence[Image.Image], max_new_tokens: int
    ) -> list[str]:
        """One answer a prompt, without the prompt and without special tokens."""
        return self.answer_encoded(self.encode(prompts, images), max_new_tokens)

    def answer_encoded(self, batch: dict[str, Any], max_new_tokens: int) -> list[str]:
        """The same for what `encode` returned."""
        return self.texts(self.new_ids(batch, max_new_tokens))

    def new_ids(self, batch: dict[str, Any], max_new_tokens: int, **dense: Any) -> Tensor:
        """Token ids [B, t] of what `encode` returned, end tokens included.

        dense: further arguments for transformers' `generate`; another arm doesn't take them.
        """
        if self.hybrid is not None:
            ids = self.hybrid.generate(**dict(batch), max_new_tokens=max_new_tokens)
        else:
            pixels = batch["pixel_values"].to(self.llava.dtype)
            batch = {**batch, "pixel_values": pixels}
            ids = self.llava.generate(
                **{name: tensor.to(self.llava.device) for name, tensor in batch.items()},
                max_new_tokens=max_new_tokens,
                do_sample=False,
                **dense,
            )
        new_ids: Tensor = ids[:, batch["input_ids"].shape[1] :]
        return new_ids

    def texts(self, new_ids: Tensor) -> list[str]:
        """Token ids [B, t] as answers."""
        texts: list[str] = self.processor.batch_decode(new_ids, skip_special_tokens=True)
        return [text.strip() for text in texts]


def padded_to_square(image: Image.Image, mean: Sequence[float]) -> Image.Image:
    """`image` in the middle of a square as wide as its longer side; as it is if it is a square.

    LLaVA's `image_aspect_ratio: pad` to the pixel: `mean`, the processor's, in [0, 1] for each
    channel, is cut to whole numbers, and where the border is odd the right or lower part is wider.
    """
    width, height = image.size
    if width == height:
        return image
    side = max(width, height)
    red, green, blue = (int(channel * 255) for channel in mean)
    square = Image.new("RGB", (side, side), (red, green, blue))
    square.paste(image, ((side - width) // 2, (side - height) // 2))
    return square


def resolve_keep(argument: str | None, profile: Profile) -> Keep:
    """--keep, else FASTV_K, else the profile's."""
    return Keep.resolve(argument, default=profile.reduction.keep, environ=os.environ)
