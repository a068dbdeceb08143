"""Small untrained models of each family in float64, prompts of words and images, and both answers.

A prompt is a list of parts: how many words, or an image, high and wide: in tokens, or in pixels
where a family counts tokens by these.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)
from transformers.models.llava_next import modeling_llava_next

from bench.arms.untrained import untrained_llava
from hybrid import HybridLlava
from hybrid.state import State
from tests.llavas import IMAGE_TOKEN, SHAPE, random_llava

Part = int | tuple[int, int]
Prompt = list[Part]
Batch = dict[str, Tensor]

END, PAD = 2, 0
NO_END = 1 << 20  # of no vocabulary here
WORDS = 5  # ids from here are words
START, STOP, IMAGE, VIDEO = 90, 91, 92, 93
PATCH, MERGE, WINDOW = 4, 2, 3  # pixels; patches a token and tokens a window, on each side


@dataclass(frozen=True)
class Kind:
    """A family's small model.

    Attributes:
        make: the model, of so many language layers.
        batch: prompts -> what the processor would give, left-padded; `only` of some of them, with
            the same words and pixels.
        prompts: of a batch with everything that the family can have in it.
    """

    make: Callable[[int], Any]
    batch: "Callable[[Sequence[Prompt], Sequence[int] | None], Batch]"
    prompts: list[Prompt]


def qwen(layers: int = 5) -> Any:
    """4 blocks, of which 1 and 3 see whole images; windows of 3 x 3 tokens."""
    text = {
        "vocab_size": 96, "hidden_size": 48, "intermediate_size": 64, "num_hidden_layers": layers,
        "num_attention_heads": 4, "num_key_value_heads": 2, "pad_token_id": PAD,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 2, 2]},
    }  # fmt: skip
    vision = {
        "depth": 4, "hidden_size": 32, "intermediate_size": 40, "num_heads": 4, "patch_size": PATCH,
        "spatial_merge_size": MERGE, "window_size": PATCH * MERGE * WINDOW, "out_hidden_size": 48,
        "fullatt_block_indexes": [1, 3],
    }  # fmt: skip
    config = Qwen2_5_VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=IMAGE,
        video_token_id=VIDEO,
        vision_start_token_id=START,
        vision_end_token_id=STOP,
    )
    model = Qwen2_5_VLForConditionalGeneration(config)
    return drawn(model)


def deep_qwen(layers: int = 5) -> Any:
    """4 blocks, of which 0, 1 and 2 are added behind layers 0, 1 and 2; interleaved axes."""
    text = {
        "vocab_size": 96, "hidden_size": 48, "intermediate_size": 64, "num_hidden_layers": layers,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "pad_token_id": PAD,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [4, 2, 2]},
    }  # fmt: skip
    vision = {
        "depth": 4, "hidden_size": 32, "intermediate_size": 40, "num_heads": 4, "patch_size": PATCH,
        "spatial_merge_size": MERGE, "out_hidden_size": 48, "num_position_embeddings": 25,
        "deepstack_visual_indexes": [0, 1, 2],
    }  # fmt: skip
    config = Qwen3VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=IMAGE,
        video_token_id=VIDEO,
        vision_start_token_id=START,
        vision_end_token_id=STOP,
    )
    model = Qwen3VLForConditionalGeneration(config)
    # Norms of ones would look like each other, and like none.
    generator = torch.Generator().manual_seed(3)
    for name, weight in model.named_parameters():
        if name.endswith(("q_norm.weight", "k_norm.weight")):
            nn.init.uniform_(weight, 0.5, 2.0, generator=generator)
    return drawn(model)


def drawn(model: Any) -> Any:
    """With weights large enough that each token tells in the answer; the same at every call."""
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.3, generator=generator)
    model.generation_config.eos_token_id, model.generation_config.pad_token_id = END, PAD
    return model.eval().double()


def padded(rows: Sequence[list[int]]) -> Batch:
    """Ids and mask, [B, S]."""
    length = max(map(len, rows))
    return {
        "input_ids": torch.tensor([[PAD] * (length - len(row)) + row for row in rows]),
        "attention_mask": torch.tensor([[0] * (length - len(r)) + [1] * len(r) for r in rows]),
    }


def words(prompts: Sequence[Prompt]) -> Iterator[tuple[int, Part, list[int]]]:
    """Each part with its prompt's number, and the words if it is some."""
    generator = torch.Generator().manual_seed(1)
    for row, prompt in enumerate(prompts):
        for part in prompt:
            count = part if isinstance(part, int) else 0
            drawn = torch.randint(WORDS, START, (count,), generator=generator)
            yield row, part, drawn.tolist()


def qwen_batch(prompts: Sequence[Prompt], only: Sequence[int] | None = None) -> Batch:
    generator = torch.Generator().manual_seed(2)
    rows: list[list[int]] = [[] for _ in prompts]
    grids, pixels = [], []
    for row, part, said in words(prompts):
        rows[row] += said
        if not isinstance(part, int):
            high, wide = part
            rows[row] += [START, *[IMAGE] * (high * wide), STOP]
            size = MERGE**2 * high * wide, 3 * 2 * PATCH**2
            image = torch.randn(size, generator=generator, dtype=torch.float64)
            if only is None or row in only:
                grids.append([1, MERGE * high, MERGE * wide])
                pixels.append(image)
    given = padded([rows[row] for row in only or range(len(rows))])
    if grids:
        given |= {"pixel_values": torch.cat(pixels), "image_grid_thw": torch.tensor(grids)}
    return given


def llava(layers: int = 5) -> Any:
    model = random_llava(groups=2, layers=layers).double()
    model.generation_config.eos_token_id, model.generation_config.pad_token_id = END, PAD
    return model


def llava_batch(prompts: Sequence[Prompt], only: Sequence[int] | None = None) -> Batch:
    generator = torch.Generator().manual_seed(2)
    rows: list[list[int]] = [[] for _ in prompts]
    images, patches = [], SHAPE.patches
    side = untrained_llava(SHAPE).config.vision_config.image_size
    for row, part, said in words(prompts):
        rows[row] += said
        if not isinstance(part, int):
            rows[row] += [IMAGE_TOKEN] * patches
            image = torch.randn(3, side, side, generator=generator, dtype=torch.float64)
            images += [image] if only is None or row in only else []
    given = padded([rows[row] for row in only or range(len(rows))])
    if images:
        given["pixel_values"] = torch.stack(images)
    return given


def next_model(layers: int = 5) -> Any:
    """6 x 6 patches a crop, in one to three or two times two of them."""
    side, patch = SHAPE.side * PATCH, PATCH
    text = {
        "model_type": "llama", "vocab_size": IMAGE_TOKEN + 1, "hidden_size": 32,
        "intermediate_size": 64, "num_hidden_layers": layers, "num_attention_heads": 4,
        "num_key_value_heads": 2, "max_position_embeddings": 4096, "pad_token_id": PAD,
    }  # fmt: skip
    vision = {
        "model_type": "clip_vision_model", "hidden_size": 32, "intermediate_size": 64,
        "num_hidden_layers": 4, "num_attention_heads": 4, "image_size": side, "patch_size": patch,
        "projection_dim": 16,
    }  # fmt: skip
    config = LlavaNextConfig(
        text_config=text,
        vision_config=vision,
        image_token_index=IMAGE_TOKEN,
        image_grid_pinpoints=[
            [side, 2 * side], [2 * side, side], [2 * side, 2 * side], [3 * side, side]
        ],
        image_seq_length=SHAPE.patches,
    )  # fmt: skip
    return drawn(LlavaNextForConditionalGeneration(config))


def next_batch(prompts: Sequence[Prompt], only: Sequence[int] | None = None) -> Batch:
    """Images by their pixels, high and wide; how many tokens each takes is transformers' count."""
    generator = torch.Generator().manual_seed(2)
    rows: list[list[int]] = [[] for _ in prompts]
    theirs: Any = modeling_llava_next
    side, across = SHAPE.side * PATCH, SHAPE.side
    points = [[side, 2 * side], [2 * side, side], [2 * side, 2 * side], [3 * side, side]]
    sizes, images = [], []
    for row, part, said in words(prompts):
        rows[row] += said
        if not isinstance(part, int):
            crops = [*theirs.get_anyres_image_grid_shape(part, points, side)]
            count = theirs.image_size_to_num_patches(part, points, side)
            laid = torch.empty(1, crops[0] * across, crops[1] * across)
            _, high, wide = theirs.unpad_image(laid, part).shape
            rows[row] += [IMAGE_TOKEN] * (SHAPE.patches + high * (wide + 1))
            image = torch.randn(count, 3, side, side, generator=generator, dtype=torch.float64)
            if only is None or row in only:
                sizes.append(part)
                images.append(image)
    given = padded([rows[row] for row in only or range(len(rows))])
    if images:
        pixels = torch.nn.utils.rnn.pad_sequence(images, batch_first=True)
        given |= {"pixel_values": pixels, "image_sizes": torch.tensor(sizes)}
    return given


FAMILIES = {
    "llava": Kind(
        llava,
        llava_batch,
        [[3, (6, 6), 5], [2, (6, 6), 4, (6, 6), (6, 6), 3], [7], [(6, 6), 9]],
    ),
    "llava_next": Kind(
        next_model,
        next_batch,
        [[3, (48, 48), 5], [2, (20, 45), 4, (70, 19), 3], [7], [(40, 33), 6]],
    ),
    "qwen2_5_vl": Kind(
        qwen,
        qwen_batch,
        [[3, (4, 6), 5], [2, (7, 5), 9], [6], [2, (3, 3), 4, (5, 7), 6]],
    ),
    "qwen3_vl": Kind(
        deep_qwen,
        qwen_batch,
        [[3, (4, 6), 5], [2, (7, 5), 9], [6], [2, (3, 3), 4, (5, 7), 6]],
    ),
}
THREE_AXES = ("qwen2_5_vl", "qwen3_vl")


def theirs(model: Any, given: Batch, steps: int) -> tuple[Tensor, Tensor]:
    """transformers' greedy ids [B, T] and logits [B, T, V]."""
    more: dict[str, Any] = {}
    if model.config.model_type in THREE_AXES:
        more["mm_token_type_ids"] = (given["input_ids"] == IMAGE).int()
    out = model.generate(
        **given, **more, do_sample=False, eos_token_id=NO_END, max_new_tokens=steps,
        output_logits=True, return_dict_in_generate=True,
    )  # fmt: skip
    return out.sequences[:, -steps:], torch.stack(out.logits, dim=1)


@torch.inference_mode()
def ours(model: HybridLlava, given: Batch, steps: int) -> tuple[State, Tensor]:
    """The state behind so many tokens, which no end token stops, and logits [B, T, V]."""
    model.end_ids = []
    state = model.prefill(model.place(**given), steps)
    logits = []
    for step in range(steps):
        if step:
            model.decode(state)
        logits.append(state.logits.clone())
        model.select(state)
    return state, torch.stack(logits, dim=1)


def apart(one: Tensor, other: Tensor) -> float:
    """The largest difference of logits, of their deviation."""
    return float((one - other).abs().max() / other.std())
