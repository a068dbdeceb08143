"""Small LLaVAs with random weights, and batches for them: what equivalence tests run on."""

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

IMAGE_TOKEN = 99
PATCHES = 36


def random_llava(*, groups: int = 4, layers: int = 5) -> LlavaForConditionalGeneration:
    """6 x 6 patches, 4 CLIP blocks, `layers` Llama layers with `groups` key-value heads of 4."""
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=4,
            num_attention_heads=4,
            image_size=84,
            patch_size=14,
        ),
        text_config=LlamaConfig(
            vocab_size=100,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=layers,
            num_attention_heads=4,
            num_key_value_heads=groups,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
        ),
        image_token_index=IMAGE_TOKEN,
        image_seq_length=PATCHES,
    )
    torch.manual_seed(0)
    llava = LlavaForConditionalGeneration(config)
    llava.train(False)
    for weight in llava.parameters():
        if weight.ndim > 1:  # transformers' own 0.02 would leave every answer the same
            torch.nn.init.normal_(weight, std=0.3)
    return llava


@dataclass(frozen=True)
class Batch:
    """Left-padded prompts with one image each, and the prompts one by one."""

    input_ids: Tensor
    pixel_values: Tensor
    attention_mask: Tensor

    def one(self, row: int) -> "Batch":
        """One sample without its padding."""
        real = self.attention_mask[row].bool()
        ids = self.input_ids[row][real][None]
        return Batch(ids, self.pixel_values[row : row + 1], torch.ones_like(ids))

    def __len__(self) -> int:
        return len(self.input_ids)


def batch(size: int) -> Batch:
    """Prompts of different lengths, the image at different places."""
    torch.manual_seed(1)
    prompts = []
    for before, after in ((4, 6), (3, 12), (5, 3), (2, 2))[:size]:
        text = torch.randint(3, 90, (before + after,))
        image = torch.full((PATCHES,), IMAGE_TOKEN)
        prompts.append(torch.cat([text[:before], image, text[before:]]))
    flipped = [p.flip(0) for p in prompts]
    ids = torch.nn.utils.rnn.pad_sequence(flipped, batch_first=True, padding_value=0).flip(1)
    return Batch(ids, torch.randn(size, 3, 84, 84), (ids != 0).long())
