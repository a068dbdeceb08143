"""The golden cases: a model, a batch, a config, and the record of where each patch went."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import Qwen2_5_VLForConditionalGeneration

from bench.arms.models import load_checkpoint
from bench.arms.profiles import load_profile
from bench.arms.untrained import Shape
from bench.fixture.questions import CATEGORIES, Question
from bench.fixture.qwen import train
from bench.fixture.qwen.architecture import SIZES, TOKENS
from bench.fixture.qwen.tokens import PATCH, TOKEN, Vocabulary
from bench.fixture.qwen.tower import patches_of
from bench.fixture.scenes import DEV_SEEDS, Scene, generator
from bench.fixture.tower import pictures
from bench.goldens.integers import DEEP, IMAGES, SHAPE, integer_llava, prompt
from bench.goldens.record import Record, fingerprint, record
from bench.tasks import load_task
from hybrid import HybridConfig, HybridLlava, Keep
from hybrid.inputs import Inputs
from hybrid.merging import THRESHOLDS_72OUT
from hybrid.methods import METHODS

# Chosen so that the integer model merges much, but not all, of each image.
THRESHOLDS = (0.96, 0.94, 0.92, 1.0)
DECODE_STEPS = 3
# The others keep 36. Three blocks that halve 576 patches leave 72; PyramidDrop's own is half.
BUDGETS = {"tome": "144", "pyramiddrop": "0.5"}
KEEP = "36"
QWEN = Path(train.__file__).parent
MIXED = ("noise", "gradient", "checkerboard")


@dataclass(frozen=True)
class Case:
    """One golden file: `run` makes it anew; `inputs` says in words what goes in."""

    inputs: str
    run: Callable[[], "Made"]


@dataclass(frozen=True)
class Made:
    """What a case gives: one record a sample, and the hash of what went in."""

    records: list[Record]
    fingerprint: str


@cache
def _integer_llava(shape: Shape) -> Any:
    return integer_llava(shape)


def _made(model: HybridLlava, inputs: Inputs) -> Made:
    return Made(record(model, inputs, DECODE_STEPS), fingerprint(model, inputs))


def _left_padded(prompts: list[Tensor]) -> tuple[Tensor, Tensor]:
    """input_ids and attention_mask, [B, S]."""
    flipped = [p.flip(0) for p in prompts]
    ids = torch.nn.utils.rnn.pad_sequence(flipped, batch_first=True, padding_value=0).flip(1)
    return ids, (ids != 0).long()


def _on_integers(images: tuple[str, ...], config: HybridConfig, shape: Shape = SHAPE) -> Case:
    def run() -> Made:
        model = HybridLlava(_integer_llava(shape), config)
        prompts = [prompt(5 + 2 * i, 9 - 3 * i) for i in range(len(images))]
        input_ids, attention_mask = _left_padded(prompts)
        pixels = torch.stack([IMAGES[name]() for name in images])
        return _made(model, model.place(input_ids, pixels, attention_mask))

    return Case(f"integer model, 24 x 24, images {', '.join(images)}; {config}", run)


def _on_fixture(config: HybridConfig, samples: int) -> Case:
    def run() -> Made:
        profile = load_profile("tiny")
        checkpoint = load_checkpoint(profile)
        model = HybridLlava(checkpoint.llava.double(), config)
        chosen = load_task(profile.prompts).samples[:samples]
        processor: Any = checkpoint.processor
        batch = processor(
            text=[s.prompt for s in chosen],
            images=[s.image() for s in chosen],
            padding=True,
            return_tensors="pt",
        )
        inputs = model.place(batch["input_ids"], batch["pixel_values"], batch["attention_mask"])
        return _made(model, inputs)

    return Case(f"tiny fixture, 12 x 12, its first {samples} questions; {config}", run)


def _on_qwen(config: HybridConfig) -> Case:
    """A question about a wide picture, and one about a high one."""

    def run() -> Made:
        llava: Any = Qwen2_5_VLForConditionalGeneration.from_pretrained(QWEN / "model")
        model = HybridLlava(llava.double().eval(), config)
        vocab = Vocabulary()
        parts = [pictures(DEV_SEEDS[:1], size, TOKEN) for size in SIZES]
        prompts = [
            torch.tensor(
                [*vocab.before_image(), *[model.image_token_id] * TOKENS, *vocab.asked(question)]
            )
            for question in (_asked(part.scenes[0]) for part in parts)
        ]
        grids = [[1, high // PATCH, wide // PATCH] for high, wide in SIZES]
        inputs = model.place(
            torch.stack(prompts),
            torch.cat([patches_of(part.pixels.double()) for part in parts]),
            image_grid_thw=torch.tensor(grids),
        )
        return _made(model, inputs)

    return Case(f"tiny-qwen, 6 x 8 and 8 x 6 tokens, a question each; {config}", run)


def _asked(a_scene: Scene) -> Question:
    question = CATEGORIES["object_counting"].ask(a_scene, generator(a_scene.seed, 6))
    assert question is not None
    return question


def name_of(method: str) -> str:
    """Of a shipped method's golden."""
    return f"method-{method}"


def recorded_keep(method: str) -> Keep:
    """The budget of a shipped method's golden; of others, what these mostly have."""
    return Keep.parse(BUDGETS.get(method, KEEP))


def method_case(method: object) -> Case:
    """What a method does to the first two of `MIXED`."""
    return _on_integers(MIXED[:2], HybridConfig(method=(method,)))


def cases() -> Mapping[str, Case]:
    """Name of the golden file, without `.txt` -> case."""
    unpruned = HybridConfig(thresholds=THRESHOLDS, aggregation_layer=1)
    keep_36 = replace(unpruned, keep="36")
    tiny = load_profile("tiny").reduction
    fixture = HybridConfig(
        keep="18",
        thresholds=tiny.thresholds,
        aggregation_layer=tiny.aggregation_layer,
        capacity=tiny.capacity,
    )
    one = HybridConfig(keep="1", aggregation_layer=0)
    pruned = HybridConfig(keep=9, aggregation_layer=1)
    methods = {name_of(name): make(recorded_keep(name)) for name, make in METHODS.items()}
    return {
        "uniform-keep-36": _on_integers(("uniform",), keep_36),
        "checkerboard-keep-36": _on_integers(("checkerboard",), keep_36),
        "gradient-keep-72": _on_integers(("gradient",), replace(unpruned, keep="72")),
        "noise-keep-36": _on_integers(("noise",), keep_36),
        "noise-share-0.7": _on_integers(("noise",), replace(unpruned, keep="0.7")),
        "noise-keep-none": _on_integers(("noise",), unpruned),
        "noise-unmerged-keep-1": _on_integers(("noise",), one),
        "noise-mask-keep-36": _on_integers(("noise",), replace(keep_36, prune="mask")),
        "noise-compact-keep-36": _on_integers(("noise",), replace(keep_36, rope="compact")),
        "noise-virtual": _on_integers(("noise",), replace(unpruned, rope="virtual")),
        "gradient-72out-keep-36": _on_integers(
            ("gradient",), replace(keep_36, thresholds=THRESHOLDS_72OUT), DEEP
        ),
        "noise-capacity-96": _on_integers(("noise",), replace(keep_36, capacity=96)),
        "batch-share-0.5": _on_integers(MIXED, replace(unpruned, keep="0.5")),
        "fixture-keep-18": _on_fixture(fixture, 2),
        "qwen-keep-9": _on_qwen(pruned),
        "qwen-compact-keep-9": _on_qwen(replace(pruned, rope="compact")),
        "qwen-divprune-9": _on_qwen(HybridConfig(method=(METHODS["divprune"](Keep(count=9)),))),
        **{name: method_case(method) for name, method in methods.items()},
    }
