"""A LLaVA of a few thousand random weights: enough to wait in every place where a real one does."""

from __future__ import annotations

from typing import Any, TypedDict

import torch
from torch import Tensor
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

PATCHES = 16
VISION_BLOCKS = 3
_IMAGE, _END, _PAD = 99, 2, 0


class Batch(TypedDict):
    """input_ids and attention_mask [B, S] int64, pixel_values [B, 3, 56, 56] float32."""

    input_ids: Tensor
    attention_mask: Tensor
    pixel_values: Tensor


def untrained_llava() -> Any:
    """`LlavaForConditionalGeneration` with 16 patches, 3 vision and 4 language layers of width 32.

    The caller's random stream is left as it was.
    """
    vision = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=VISION_BLOCKS,
        num_attention_heads=4,
        image_size=56,
        patch_size=14,
    )
    text = LlamaConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=4,
        num_attention_heads=4,
        vocab_size=100,
        max_position_embeddings=128,
    )
    config = LlavaConfig(vision_config=vision, text_config=text, image_token_index=_IMAGE)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        model: Any = LlavaForConditionalGeneration(config)
    model.generation_config.eos_token_id = _END
    model.generation_config.pad_token_id = _PAD
    return model.eval()


def batch_of(size: int) -> Batch:
    """`size` equal prompts: two text tokens, the image, three text tokens."""
    ids = torch.tensor([[1, 5] + [_IMAGE] * PATCHES + [7, 8, 9]]).repeat(size, 1)
    pixels = torch.linspace(-1, 1, 3 * 56 * 56).reshape(1, 3, 56, 56).repeat(size, 1, 1, 1)
    return Batch(input_ids=ids, attention_mask=torch.ones_like(ids), pixel_values=pixels)
