"""What turns texts and images into inputs, and counts placeholders as the checkpoint's model does.

Old checkpoints leave out what counts them: it then follows from `config.json`, and is said. One
that contradicts it would fail later, by the length of a prompt that nobody wrote.
"""

from typing import Any

from transformers import LlavaNextProcessor, LlavaProcessor, Qwen2_5_VLProcessor
from transformers.processing_utils import ProcessorMixin

from bench.base.errors import UserError
from bench.base.remark import remark

_TOKEN = {
    "llava": "image_token_index",
    "llava_next": "image_token_index",
    "qwen2_5_vl": "image_token_id",
    "qwen3_vl": "image_token_id",
}
CLASS_TOKEN = 1  # of CLIP's tower; the processor adds it, and `default` takes it away again


class QwenProcessor(Qwen2_5_VLProcessor):
    """transformers' own of a Qwen-VL, without its video processor, which needs torchvision."""

    def __init__(
        self,
        image_processor: Any = None,
        tokenizer: Any = None,
        chat_template: Any = None,
        **_: Any,
    ) -> None:
        self.image_token, self.video_token = "<|image_pad|>", "<|video_pad|>"
        self.image_token_id, self.video_token_id = tokenizer.convert_tokens_to_ids(
            [self.image_token, self.video_token]
        )
        made: Any = ProcessorMixin.__init__
        made(self, image_processor, tokenizer, chat_template=chat_template)


PROCESSORS: dict[str, Any] = {
    "llava": LlavaProcessor,
    "llava_next": LlavaNextProcessor,
    "qwen2_5_vl": QwenProcessor,
    "qwen3_vl": QwenProcessor,
}
"""By `model_type`."""


def set_pixels(processor: Any, least: int | None, most: int | None) -> None:
    """Bounds on the pixels of an image, of a processor that has some.

    Raises:
        UserError: it has none, or they leave no size.
    """
    if least is None and most is None:
        return
    if not isinstance(processor, QwenProcessor):
        raise UserError(
            "data.min_pixels and data.max_pixels are of models that take images of any size"
            " (Qwen-VLs), and this processor resizes each to the same: leave them out"
        )
    images: Any = processor.image_processor
    size = dict(images.size)
    low, high = least or size["shortest_edge"], most or size["longest_edge"]
    if low > high:
        raise UserError(
            f"images are to have at least {low} pixels and at most {high}: set data.min_pixels and"
            " data.max_pixels, in place of what the processor says, so that some have both"
        )
    images.size = {"shortest_edge": low, "longest_edge": high}


def fit_processor(processor: Any, config: Any, path: str) -> None:
    """Fill in what the processor leaves out, and refuse what contradicts the model.

    Args:
        processor: of PROCESSORS; changed.
        config: the model's.
        path: the checkpoint.

    Raises:
        UserError: naming file, setting, and both values.
    """
    if isinstance(processor, QwenProcessor):
        _fit_qwen(processor, config, path)
    else:
        _fit_llava(processor, config, path)
    if config.model_type == "llava_next":
        _fit_crops(processor.image_processor, config, path)
    _demand_tokens(processor, config, path)


def _fit_qwen(processor: Any, config: Any, path: str) -> None:
    vision, images = config.vision_config, processor.image_processor
    _demand_equal(
        f"{path}: its processor",
        ("patch_size", images.patch_size, vision.patch_size),
        ("merge_size", images.merge_size, vision.spatial_merge_size),
        ("temporal_patch_size", images.temporal_patch_size, vision.temporal_patch_size),
    )
    if processor.video_token_id != config.video_token_id:
        raise UserError(
            f"{path}: the tokenizer's video token {processor.video_token!r} has the id"
            f" {processor.video_token_id}, and config.json's video_token_id is"
            f" {config.video_token_id}: correct whichever is wrong"
        )


def _fit_crops(images: Any, config: Any, path: str) -> None:
    side = config.vision_config.image_size
    crop = images.crop_size
    _demand_equal(
        f"{path}: its processor",
        ("crop_size", (crop["height"], crop["width"]), (side, side)),
        (
            "image_grid_pinpoints",
            [list(pair) for pair in images.image_grid_pinpoints],
            [list(pair) for pair in config.image_grid_pinpoints],
        ),
    )


def _demand_equal(where: str, *settings: tuple[str, Any, Any]) -> None:
    for name, found, wanted in settings:
        if found != wanted:
            raise UserError(
                f"{where}: {name} is {found!r}, and by the model's config.json it must be"
                f" {wanted!r}: correct whichever is wrong"
            )


def _fit_llava(processor: Any, config: Any, path: str) -> None:
    file = f"{path}/processor_config.json"
    wanted = {
        "patch_size": config.vision_config.patch_size,
        "vision_feature_select_strategy": config.vision_feature_select_strategy,
        "num_additional_image_tokens": CLASS_TOKEN,
    }
    filled = []
    for name, value in wanted.items():
        # transformers takes 0 additional tokens where nothing is said, and counts one too few.
        if getattr(processor, name) in (None, 0):
            setattr(processor, name, value)
            filled.append(f"{name} {value}")
        elif getattr(processor, name) != value:
            raise UserError(
                f"{file}: {name} is {getattr(processor, name)!r}, and by the model's config.json it"
                f" must be {value!r}: correct whichever is wrong"
            )
    if filled:
        remark(f"{file} does not say {', '.join(filled)}: taken from the model's config.json")


def _demand_tokens(processor: Any, config: Any, path: str) -> None:
    if processor.image_token_id != config.image_token_id:
        raise UserError(
            f"{path}: the tokenizer's image token {processor.image_token!r} has the id"
            f" {processor.image_token_id}, and config.json's {_TOKEN[config.model_type]} is"
            f" {config.image_token_id}: correct whichever is wrong"
        )
    vocabulary = config.text_config.vocab_size
    largest = max(processor.tokenizer.get_vocab().values())
    if largest >= vocabulary:
        raise UserError(
            f"{path}: the tokenizer has a token {largest}, and config.json's text_config.vocab_size"
            f" is {vocabulary}: take the tokenizer that belongs to these weights"
        )
