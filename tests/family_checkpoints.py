"""Small untrained checkpoints of each family on a disk, with a processor and a profile each."""

import base64
import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image
from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers
from transformers import LlavaNextProcessor, PreTrainedTokenizerFast
from transformers.models.llava_next.image_processing_pil_llava_next import (
    LlavaNextImageProcessorPil,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from bench.arms.processor import QwenProcessor
from bench.arms.untrained import PATCH, small_config, untrained
from bench.fixture import tokens as llava_tokens
from bench.fixture.qwen import tokens as qwen_tokens

SIZES = [(168, 224), (224, 168), (60, 200)]  # of the data's images, wide and high
QUESTION = "What is the colour of the triangle shown here?"
PROFILE = """\
name = "{name}"

[model]
checkpoint = "./model"
names = "{name}"
dtype = "float32"
device = "cpu"
threads = 1
chat = "{chat}"

[reduction]
keep = 6
aggregation_layer = 1

[data]
mmbench = "./sizes.tsv"
coco = "tiny-coco"
batch_size = 4
max_new_tokens_mmbench = 3
max_new_tokens_coco = 3
pad_to_square = false
{more}
[gates.latency]
new_tokens = 3
budget_s = 0.2

[gates.latency.batch-1]

[gates.latency.batch-2]
"""


def next_checkpoint(folder: Path) -> None:
    """LLaVA-NeXT with crops of 6 x 6 patches."""
    tokenizer: Any = llava_tokens.processor().tokenizer
    config = small_config("llava_next")
    words = llava_tokens.vocabulary()
    config.text_config.vocab_size = len(words)
    config.image_token_index = config.image_token_id = words.index(llava_tokens.IMAGE)
    ends = (words.index(each) for each in (llava_tokens.PAD, llava_tokens.BOS, llava_tokens.EOS))
    saved(folder, config, *ends)
    side = config.vision_config.image_size
    images = LlavaNextImageProcessorPil(
        size={"shortest_edge": side},
        crop_size={"height": side, "width": side},
        image_grid_pinpoints=config.image_grid_pinpoints,
    )
    whole: Any = LlavaNextProcessor
    processor = whole(
        image_processor=images,
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )
    processor.save_pretrained(folder)


def qwen_checkpoint(folder: Path, family: str = "qwen2_5_vl") -> None:
    """A Qwen-VL with the words of tiny-qwen."""
    words = qwen_tokens.vocabulary()
    ids = {word: number for number, word in enumerate(words)}
    config = small_config(family)
    config.text_config.vocab_size = len(words)
    config.image_token_id, config.video_token_id = ids[qwen_tokens.IMAGE], ids[qwen_tokens.VIDEO]
    config.vision_start_token_id = ids[qwen_tokens.VISION_START]
    config.vision_end_token_id = ids[qwen_tokens.VISION_END]
    saved(folder, config, ids[qwen_tokens.PAD], None, ids[qwen_tokens.EOS])
    backend = Tokenizer(models.WordLevel(ids, unk_token=qwen_tokens.UNKNOWN))
    split = pre_tokenizers.Split(Regex(r"\?"), behavior="isolated")
    backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), split])
    backend.add_tokens([AddedToken(text, normalized=False) for text in qwen_tokens.SENTENCES])
    fast: Any = PreTrainedTokenizerFast
    tokenizer = fast(
        tokenizer_object=backend,
        pad_token=qwen_tokens.PAD,
        eos_token=qwen_tokens.EOS,
        unk_token=qwen_tokens.UNKNOWN,
        additional_special_tokens=[
            qwen_tokens.IMAGE,
            qwen_tokens.VIDEO,
            qwen_tokens.VISION_START,
            qwen_tokens.VISION_END,
        ],
        clean_up_tokenization_spaces=False,
    )
    images = Qwen2VLImageProcessorPil(min_pixels=56 * 56, max_pixels=28 * 28 * 64)
    QwenProcessor(image_processor=images, tokenizer=tokenizer).save_pretrained(folder)


def saved(folder: Path, config: Any, pad: int, begin: int | None, end: int) -> None:
    """The model alone."""
    text = config.text_config
    text.pad_token_id, text.bos_token_id, text.eos_token_id = pad, begin, end
    model = untrained(config)
    model.generation_config.pad_token_id = pad
    model.generation_config.bos_token_id = begin
    model.generation_config.eos_token_id = end
    model.save_pretrained(folder)


CHECKPOINTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "llava_next": (next_checkpoint, "llava-next-vicuna"),
    "qwen2_5_vl": (qwen_checkpoint, "qwen2.5-vl"),
    "qwen3_vl": (partial(qwen_checkpoint, family="qwen3_vl"), "qwen3-vl"),
}
"""By `model_type`: how it is saved, and its chat."""


def made(folder: Path, family: str, more: str = "") -> Path:
    """The profile of a checkpoint that is saved below `folder`, with data of several image sizes.

    more: lines of its [data].
    """
    save, chat = CHECKPOINTS[family]
    save(folder / "model")
    name = family.replace("_", "-")
    profile = folder / "own.toml"
    profile.write_text(PROFILE.format(name=f"small-{name}", chat=chat, more=more))
    lines = ["index\tquestion\tA\tB\tanswer\timage"]
    for number, size in enumerate(SIZES):
        data = io.BytesIO()
        Image.linear_gradient("L").resize(size).convert("RGB").save(data, "PNG")
        picture = base64.b64encode(data.getvalue()).decode()
        lines += [
            f"{number}\t{QUESTION}\tred\tgreen\tA\t{picture}",
            f"{1_000_000 + number}\t{QUESTION}\tgreen\tred\tB\t{picture}",
        ]
    (folder / "sizes.tsv").write_text("\n".join(lines) + "\n")
    return profile
