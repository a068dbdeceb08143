"""LLaVA-1.5: a CLIP tower, a projector of two layers, Llama; an image is one square of patches.

https://arxiv.org/abs/2310.03744; transformers' `LlavaForConditionalGeneration`.
"""

from typing import Any

from torch import Tensor
from transformers import LlavaForConditionalGeneration

from hybrid.config import ConfigError
from hybrid.families.family import Family, nothing
from hybrid.inputs import Inputs, arranged, cells_of, images_in, images_of, mask_of, runs_of
from hybrid.language import Language
from hybrid.methods import Stages
from hybrid.rope import consecutive_position_ids
from hybrid.vision import Looked, VisionTower


class Llava(Family):
    """LLaVA-1.5."""

    vision: VisionTower

    model_type = "llava"
    name = "LLaVA-1.5"
    model_class = LlavaForConditionalGeneration

    @classmethod
    def check(cls, settings: Any) -> None:
        if settings.model_type != cls.model_type:
            raise ConfigError(
                f"a {settings.model_type} model is not {cls.name} (model_type {cls.model_type})"
            )
        check_clip(settings, cls.name, ("llama",))

    def __init__(self, model: Any, stages: Stages) -> None:
        settings = model.config
        self.language = Language(model.model.language_model, model.lm_head)
        self.vision = clip_tower(model, stages)
        self.projector = model.model.multi_modal_projector
        self.image_token_id = settings.image_token_id
        self.patches = self.vision.patches
        slots = self.vision.slots
        for stage in stages.hand_over:
            slots = stage.slots_of(slots)
        self.slots = slots

    def place(
        self,
        input_ids: Tensor,
        pixel_values: Tensor | None,
        attention_mask: Tensor | None,
        **images: Tensor,
    ) -> Inputs:
        side, patches = self.vision.side, self.vision.patches
        dtype = self.language.head.weight.dtype
        if pixel_values is None:
            pixel_values = input_ids.new_zeros(0, 3, side, side, dtype=dtype)
        shape = tuple(pixel_values.shape)
        if len(shape) != 4 or shape[1:] != (3, side, side):
            raise ConfigError(
                f"pixel_values of shape {shape}, and this model takes [I, 3, {side}, {side}] of I"
                f" images: resize them to {side} x {side}, as a processor with do_resize and"
                " do_center_crop does"
            )
        mask, padded = mask_of(input_ids, attention_mask)
        is_image = input_ids == self.image_token_id
        found, placeholders = None, patches
        if input_ids.device.type == "cpu":
            of_prompts = images_in(runs_of(is_image), [patches] * len(pixel_values))
            if {*map(len, of_prompts)} != {1}:
                cells = cells_of(*self.vision.grid)
                found = images_of([[cells for _ in of_prompt] for of_prompt in of_prompts])
                placeholders = found.placeholders
        elif len(pixel_values) != len(input_ids):
            raise ConfigError(
                f"{len(input_ids)} prompts but {len(pixel_values)} images: prompts that are on the"
                " device already, where they can't be looked at, need one image each"
            )
        return arranged(
            input_ids,
            pixel_values.to(dtype),
            mask,
            is_image,
            padded=padded,
            placeholders=placeholders,
            position_ids=consecutive_position_ids(mask.bool()),
            images=found,
        )

    def look(self, inputs: Inputs) -> Looked:
        if not len(inputs.pixel_values):
            return Looked(nothing(self.vision.model.config.hidden_size, inputs))
        return self.vision.look(inputs.pixel_values)


def clip_tower(model: Any, stages: Stages) -> VisionTower:
    """The CLIP tower of a LLaVA, with what merges in it."""
    return VisionTower(
        model.model.vision_tower,
        model.config.vision_feature_layer,
        stages.tower,
        image=stages.image,
        remembers=any(stage.asks_tower for stage in stages.hand_over),
    )


def check_clip(settings: Any, name: str, languages: tuple[str, ...]) -> None:
    """Refuse another tower or language model, and features that are not one block's patches."""
    vision, text = settings.vision_config.model_type, settings.text_config.model_type
    if vision != "clip_vision_model" or text not in languages:
        raise ConfigError(
            f"this {name} has a {vision} tower and a {text} language model; only"
            f" clip_vision_model and {' or '.join(languages)} are supported"
        )
    strategy, layer = settings.vision_feature_select_strategy, settings.vision_feature_layer
    if strategy != "default" or not isinstance(layer, int):
        raise ConfigError(
            f"vision_feature_select_strategy={strategy!r} with vision_feature_layer={layer} is not "
            f"{name}'s: 'default', which drops CLS, with a single layer"
        )
