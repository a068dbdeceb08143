"""Models with random weights: LLaVAs of any shape, and the true shapes of those that are profiles.

For equivalences, waits, timings and counts; not to answer.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaNextConfig,
    Qwen2_5_VLConfig,
    Qwen3VLConfig,
)

from bench.arms.families import KINDS
from bench.arms.profiles import Profile
from bench.base.errors import UserError

PATCH = 14
PAD, BEGIN, END = 0, 1, 2


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Sizes of a LLaVA-1.5; the defaults are small enough for tests.

    Attributes:
        side: patches a side; the image has side * side of them.
        vision_layers, text_layers: depth; the last vision block is unused, as in LLaVA-1.5.
        vision_width, text_width: of the hidden states; the MLPs are `mlp` times as wide.
        heads: attention heads of both towers.
        key_value_heads: of the language model; fewer than `heads` for grouped queries.
        vocabulary: its last word is the image placeholder.
        std: of the random weights; large enough that different prompts get different answers,
            which transformers' own 0.02 is not at small widths.
    """

    side: int = 6
    vision_layers: int = 4
    vision_width: int = 32
    text_layers: int = 5
    text_width: int = 32
    mlp: float = 2.0
    heads: int = 4
    key_value_heads: int = 4
    vocabulary: int = 100
    std: float = 0.3

    @property
    def patches(self) -> int:
        """Image placeholders a prompt."""
        return self.side * self.side

    @property
    def image_token(self) -> int:
        """The placeholder's id."""
        return self.vocabulary - 1

    def config(self) -> LlavaConfig:
        """As transformers describes it."""
        return LlavaConfig(
            vision_config=CLIPVisionConfig(
                hidden_size=self.vision_width,
                intermediate_size=int(self.mlp * self.vision_width),
                num_hidden_layers=self.vision_layers,
                num_attention_heads=self.heads,
                image_size=self.side * PATCH,
                patch_size=PATCH,
            ),
            text_config=LlamaConfig(
                vocab_size=self.vocabulary,
                hidden_size=self.text_width,
                intermediate_size=int(self.mlp * self.text_width),
                num_hidden_layers=self.text_layers,
                num_attention_heads=self.heads,
                num_key_value_heads=self.key_value_heads,
                pad_token_id=PAD,
                bos_token_id=BEGIN,
                eos_token_id=END,
            ),
            image_token_index=self.image_token,
            image_seq_length=self.patches,
        )


# LLaVA-1.5-7B's depth and token counts, at a width that two CPU cores can bear.
TRUE_DEPTH = replace(
    Shape(),
    side=24,
    vision_layers=24,
    vision_width=512,
    text_layers=32,
    text_width=512,
    mlp=2.6875,  # 11008 / 4096
    heads=8,
    key_value_heads=8,
    vocabulary=1000,
    std=0.05,
)


def config_7b() -> LlavaConfig:
    """LLaVA-1.5-7B's sizes."""
    return LlavaConfig(
        vision_config=_clip_large(),
        text_config=LlamaConfig(vocab_size=32064),  # Llama's other defaults are the 7B's
        image_token_index=32000,
        image_seq_length=576,
    )


def config_next_7b() -> LlavaNextConfig:
    """LLaVA-NeXT's with Vicuna-7B."""
    return LlavaNextConfig(
        vision_config=_clip_large(),
        text_config=LlamaConfig(vocab_size=32064, max_position_embeddings=4096),
        image_token_index=32000,
        image_grid_pinpoints=[[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]],
        image_seq_length=576,
        tie_word_embeddings=False,
    )


def _clip_large() -> CLIPVisionConfig:
    """CLIP-L/14 at 336 pixels."""
    return CLIPVisionConfig(
        image_size=336,
        patch_size=14,
        hidden_size=1024,
        intermediate_size=4096,
        num_hidden_layers=24,
        num_attention_heads=16,
    )


def config_qwen_7b() -> Qwen2_5_VLConfig:
    """Qwen2.5-VL-7B's."""
    return _qwen(
        width=3584, layers=28, heads=28, key_value_heads=4, mlp=18944, vocabulary=152064, tied=False
    )


def config_qwen_3b() -> Qwen2_5_VLConfig:
    """Qwen2.5-VL-3B's; its head is its embedding."""
    return _qwen(
        width=2048, layers=36, heads=16, key_value_heads=2, mlp=11008, vocabulary=151936, tied=True
    )


def _qwen(
    *,
    width: int,
    layers: int,
    heads: int,
    key_value_heads: int,
    mlp: int,
    vocabulary: int,
    tied: bool,
) -> Qwen2_5_VLConfig:
    """Both have one tower, up to the width that its merger gives."""
    return Qwen2_5_VLConfig(
        vision_config={
            "depth": 32,
            "hidden_size": 1280,
            "num_heads": 16,
            "intermediate_size": 3420,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "window_size": 112,
            "fullatt_block_indexes": [7, 15, 23, 31],
            "out_hidden_size": width,
        },
        text_config={
            "hidden_size": width,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "num_key_value_heads": key_value_heads,
            "intermediate_size": mlp,
            "vocab_size": vocabulary,
            "rms_norm_eps": 1e-6,
            "max_position_embeddings": 128000,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 1e6,
                "mrope_section": [16, 24, 24],
            },
        },
        tie_word_embeddings=tied,
    )


TRUE_SHAPES: Mapping[str, Callable[[], Any]] = {
    "llava-hf/llava-1.5-7b-hf": config_7b,
    "llava-hf/llava-v1.6-vicuna-7b-hf": config_next_7b,
    "Qwen/Qwen2.5-VL-7B-Instruct": config_qwen_7b,
    "Qwen/Qwen2.5-VL-3B-Instruct": config_qwen_3b,
}
"""By the checkpoint's Hugging Face id."""


def config_of(profile: Profile | str) -> Any:
    """transformers' configuration of a checkpoint that is known here, at its true shape.

    Args:
        profile: one, or the id of its checkpoint.

    Raises:
        UserError: it is none of TRUE_SHAPES, which are listed.
    """
    checkpoint = profile if isinstance(profile, str) else profile.model.checkpoint
    if checkpoint not in TRUE_SHAPES:
        raise UserError(
            f"the sizes of {checkpoint} are not known here: set the profile's checkpoint to one of"
            f" {', '.join(TRUE_SHAPES)}, or to a folder with its config.json"
        )
    return TRUE_SHAPES[checkpoint]()


def small_config(model_type: str) -> Any:
    """A model of a family, small enough for a CPU; LLaVA-1.5's by the tokens of the real one.

    LLaVA-NeXT's crops have 6 x 6 patches, Qwen2.5-VL's windows 4 x 4 tokens.
    """
    if model_type == "llava":
        return replace(Shape(), side=24).config()
    text = {
        "vocab_size": 100,
        "hidden_size": 48,
        "intermediate_size": 64,
        "num_hidden_layers": 5,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "pad_token_id": PAD,
        "bos_token_id": BEGIN,
        "eos_token_id": END,
    }
    if model_type == "llava_next":
        side = 6 * PATCH
        return LlavaNextConfig(
            text_config={"model_type": "llama", "max_position_embeddings": 4096, **text},
            vision_config=Shape().config().vision_config,
            image_token_index=99,
            image_grid_pinpoints=[
                [side, 2 * side], [2 * side, side], [2 * side, 2 * side], [3 * side, side]
            ],
            image_seq_length=36,
        )  # fmt: skip
    sections = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 2, 2]}
    tower = {
        "depth": 4,
        "hidden_size": 32,
        "intermediate_size": 40,
        "num_heads": 4,
        "patch_size": PATCH,
        "out_hidden_size": 48,
    }
    ids: dict[str, Any] = {
        "vision_start_token_id": 96,
        "vision_end_token_id": 97,
        "video_token_id": 98,
        "image_token_id": 99,
    }
    if model_type == "qwen3_vl":
        return Qwen3VLConfig(
            text_config={**text, "head_dim": 12, "rope_parameters": sections},
            vision_config={**tower, "deepstack_visual_indexes": [0, 1, 2]},
            **ids,
        )
    return Qwen2_5_VLConfig(
        text_config={**text, "rope_parameters": sections},
        vision_config={**tower, "window_size": 8 * PATCH, "fullatt_block_indexes": [1, 3]},
        **ids,
    )


def untrained(config: Any, std: float = Shape.std) -> Any:
    """A model of any family in evaluation mode; the same weights at every call.

    The caller's random stream is left as it was. std: of the weights, as in `Shape`.
    """
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        model: Any = KINDS[config.model_type].model_class(config)
        for weight in model.parameters():
            if weight.ndim > 1:
                torch.nn.init.normal_(weight, std=std)
    return model.eval()


def untrained_llava(shape: Shape) -> Any:
    """A `LlavaForConditionalGeneration` in evaluation mode; the same weights at every call.

    The caller's random stream is left as it was.
    """
    return untrained(shape.config(), shape.std)


@dataclass(frozen=True)
class Batch:
    """Left-padded prompts with one image each.

    Attributes:
        input_ids: [B, S] int64.
        pixel_values: [B, 3, H, W] float32.
        attention_mask: [B, S] int64.
    """

    input_ids: Tensor
    pixel_values: Tensor
    attention_mask: Tensor

    def one(self, row: int) -> "Batch":
        """One sample without its padding."""
        ids = self.input_ids[row][self.attention_mask[row].bool()][None]
        return Batch(ids, self.pixel_values[row : row + 1], torch.ones_like(ids))

    def __len__(self) -> int:
        return len(self.input_ids)


def batch_of(shape: Shape, texts: list[tuple[int, int]]) -> Batch:
    """Random prompts, each with so many text tokens before and after its image."""
    generator = torch.Generator().manual_seed(1)
    prompts = []
    for before, after in texts:
        text = torch.randint(3, shape.vocabulary - 1, (before + after,), generator=generator)
        image = torch.full((shape.patches,), shape.image_token)
        prompts.append(torch.cat([text[:before], image, text[before:]]))
    flipped = [p.flip(0) for p in prompts]
    ids = torch.nn.utils.rnn.pad_sequence(flipped, batch_first=True, padding_value=PAD).flip(1)
    side = shape.side * PATCH
    pixels = torch.randn(len(texts), 3, side, side, generator=generator)
    return Batch(ids, pixels, (ids != PAD).long())
