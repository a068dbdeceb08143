"""Costs of every family are what transformers and the path really run, and as they are recorded."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.arms.profiles import load_profile
from bench.arms.random_prompts import WORDS, Size, random_prompts
from bench.cost import recorded
from bench.cost.budget import Counted, spent
from bench.cost.count import counting
from bench.cost.gpu import load_gpu
from bench.cost.models import ARMS, FEWER, MODELS, model_of, without_memory
from bench.cost.predict import predict
from bench.cost.stages import cost_of, costs_of, stages_of
from bench.fixture.qwen.architecture import SIZES
from hybrid import HybridConfig, HybridLlava, Keep
from hybrid.families import FAMILIES as KNOWN
from hybrid.methods import METHODS
from tests.commands import Typed
from tests.families import FAMILIES, Prompt

IMAGES: dict[str, Size] = {
    "llava": (24, 24),
    "llava_next": (40, 33),
    "qwen2_5_vl": (32, 56),  # 4 x 7 tokens: windows of three sizes
    "qwen3_vl": (32, 56),
}
CONFIGS: dict[str, HybridConfig | None] = {
    "dense": None,
    "off": HybridConfig(),
    "fastv": HybridConfig(keep=5, aggregation_layer=1),
    **{
        name: HybridConfig(method=(METHODS[name](Keep(count=5)),))
        for name in ("divprune", "visionzip", "prumerge-plus", "pyramiddrop", "dart", "sparsevlm")
    },
}
OTHER = recorded.other_packages()
every_family = pytest.mark.parametrize("family", IMAGES)


def flops_of_generate(llava: Any, given: Mapping[str, Tensor], tokens: int) -> int:
    """Of transformers' own `generate`, with values."""
    given = {**given, "pixel_values": given["pixel_values"].double()}
    with torch.inference_mode(), counting(llava.parameters()) as cost:
        llava.generate(**given, do_sample=False, min_new_tokens=tokens, max_new_tokens=tokens)
    return cost.flops


@every_family
@pytest.mark.parametrize("batch", [1, 2])
def test_dense_is_counted_as_generate_runs(family: str, batch: int) -> None:
    llava = FAMILIES[family].make(3)
    given = random_prompts(llava.config, batch, image=IMAGES[family])
    meta = without_memory(llava.config).double()
    counted = costs_of(meta, stages_of(meta, None, given))
    prefill, both = (flops_of_generate(llava, given, tokens) for tokens in (1, 2))
    assert counted["prefill"].flops == prefill
    assert counted["decode"].flops == both - prefill


@every_family
@pytest.mark.parametrize("name", CONFIGS)
def test_what_has_no_values_costs_what_has_some(family: str, name: str) -> None:
    llava = FAMILIES[family].make(5)
    given = random_prompts(llava.config, 2, image=IMAGES[family])
    meta = without_memory(llava.config).double()
    meta.generation_config = llava.generation_config  # a step looks for each end token
    found = costs_of(meta, stages_of(meta, CONFIGS[name], given))
    expected = costs_of(llava, stages_of(llava, CONFIGS[name], given))
    assert {stage: cost.to_json() for stage, cost in found.items()} == {
        stage: cost.to_json() for stage, cost in expected.items()
    }


@every_family
@pytest.mark.parametrize("name", ["off", "divprune", "visionzip", "pyramiddrop"])
def test_a_larger_batch_starts_no_more_kernels(family: str, name: str) -> None:
    llava = without_memory(FAMILIES[family].make(5).config)
    one, three = (
        costs_of(
            llava,
            stages_of(llava, CONFIGS[name], random_prompts(llava.config, batch, image=(48, 48))),
        )
        for batch in (1, 3)
    )
    for stage, cost in one.items():
        # A mask of more samples may have to be copied into aligned rows, and one fewer not.
        assert abs(three[stage].launches - cost.launches) <= 6, stage


HAND_OVER = ("divprune", "visionzip", "prumerge-plus", "random-tokens", "grid", "pool")
KEEPS = [Keep.parse(text) for text in ("1", "9", "0.5", "1000")]


@every_family
@pytest.mark.parametrize("name", (*HAND_OVER, "pyramiddrop"))
def test_slots_are_known_before_anything_runs(family: str, name: str) -> None:
    """Of prompts with other images, several, and none."""
    kind = FAMILIES[family]
    llava = kind.make(5).to("meta")
    batches: list[list[Prompt]] = [kind.prompts, kind.prompts[:1], [[7]]]
    for keep in KEEPS:
        try:
            model = HybridLlava(llava, HybridConfig(method=(METHODS[name](keep),)))
        except ValueError:  # a budget that the method can't have
            continue
        for prompts in batches:
            inputs = model.place(**kind.batch(prompts, None))
            texts = inputs.spots.text.shape[1]
            with torch.inference_mode():
                cache = model.prefill(inputs, 1).cache
            ran = [cache.prompt_length(layer) - texts for layer in range(5)]
            assert model.layer_slots_of(model.slots_of(inputs)) == ran, (keep, prompts)


@every_family
@pytest.mark.parametrize("name", CONFIGS)
def test_a_budget_is_what_a_run_spends(family: str, name: str) -> None:
    llava, config = FAMILIES[family].make(5), CONFIGS[name]
    counted = Counted(llava.config, torch.float64, image=IMAGES[family])
    said = counted.budget(config)
    model = HybridLlava(llava, config or HybridConfig())
    given = counted.given
    with torch.inference_mode(), counting(llava.parameters()) as cost:
        cache = model.prefill(model.place(**given), 1).cache
    lengths = [cache.prompt_length(layer) for layer in range(5)]
    assert said.tokens == lengths[-1] - WORDS
    assert said.average == pytest.approx(fmean(lengths) - WORDS)
    a_token = cache.nbytes() // sum(length + 1 for length in lengths)
    assert said.cache_bytes == sum(lengths) * a_token
    spent = flops_of_generate(llava, given, 1) if config is None else cost.flops
    assert said.flops == spent


def test_a_budget_is_of_an_image_of_672_x_672_if_none_is_named() -> None:
    counted = Counted(model_of("llava-next-7b").config(), torch.float16)
    divprune = HybridConfig(method=(METHODS["divprune"](Keep(count=64)),))
    assert counted.patches == 2928
    assert (set(counted.slots(None)), set(counted.slots(divprune))) == ({2928}, {5 * 64})


def test_a_profile_s_pixels_resize_what_a_budget_is_of() -> None:
    data = load_profile("qwen2.5-vl-7b").data
    counted = Counted(model_of("qwen2.5-vl-7b").config(), torch.float16, data)
    assert data.min_pixels and counted.patches == 36 * 36 > data.min_pixels / 28**2


def test_the_embedded_qwen_s_budget_is_of_a_picture_of_its_own() -> None:
    profile = load_profile("tiny-qwen")
    assert profile.data.image in SIZES
    dense, divprune = spent(profile, ("dense", "divprune"), Keep(count=9)).values()
    assert (dense.tokens, dense.average, divprune.average) == (48, 48, 9)


def test_merged_tokens_of_several_images_are_known_too() -> None:
    kind = FAMILIES["llava"]
    config = HybridConfig(thresholds=(0.9,) * 4, capacity=20)
    model = HybridLlava(kind.make(5).to("meta"), config)
    inputs = model.place(**kind.batch(kind.prompts, None))
    cache = model.prefill(inputs, 1).cache
    slots = cache.prompt_length(0) - inputs.spots.text.shape[1]
    assert model.slots_of(inputs) == slots == 60


@pytest.mark.parametrize(
    ("name", "placeholders"),
    [("llava-1.5-7b", 576), ("llava-next-7b", 2928), ("qwen2.5-vl-7b", 576)],
)
def test_an_image_has_as_many_tokens_as_its_model_makes_of_it(name: str, placeholders: int) -> None:
    model = model_of(name)
    assert model.patches == placeholders
    ids = random_prompts(model.config(), 2)["input_ids"]
    assert ids.shape == (2, WORDS + placeholders)


SOME = {
    "llava-next-7b": ("off", "divprune"),
    "qwen2.5-vl-7b": ("dense", "off", "visionzip"),
    "qwen2.5-vl-3b": ("off",),
}


@pytest.mark.skipif(OTHER is not None, reason=str(OTHER))
@pytest.mark.parametrize("name", SOME)
def test_some_of_each_model_cost_what_is_recorded(name: str) -> None:
    """`nox -s cost` counts all."""
    model = model_of(name)
    found = recorded.measure(model=model, arms=SOME[name])
    only = {arm: ["batch-1"] for arm in SOME[name]}
    assert recorded.compare(found, model, only) == {}
    assert recorded.load(model).keys() == {*FEWER}


ROW = re.compile(r"^\| (LLaVA-NeXT\S+|Qwen2\S+) \| (\S+) \| (.*) \|$", re.MULTILINE)


def test_the_documented_table_is_what_is_recorded() -> None:
    page = (Path(__file__).parents[1] / "docs" / "families.md").read_text(encoding="utf-8")
    stands = {(title, arm): cells.split(" | ") for title, arm, cells in ROW.findall(page)}
    assert [*stands] == [(model.title, arm) for model in MODELS[1:] for arm in FEWER]
    for model in MODELS[1:]:
        counted = Counted(model.config(), torch.float16)
        costs = json.loads(recorded.path_of(model).read_text(encoding="utf-8"))["costs"]
        for arm in FEWER:
            slots = counted.slots(ARMS[arm])
            flops = costs[arm]["batch-1"]["prefill"]["flops"]
            cache = sum(WORDS + count for count in slots) * counted.token_bytes
            said = [f"{fmean(slots):.1f}", f"{flops / 1e12:.2f}", f"{cache / 1e6:.0f}"]
            assert stands[model.title, arm][:3] == said
    h100 = load_gpu("h100")
    for name in ("llava-next-7b", "qwen2.5-vl-3b"):
        model = model_of(name)
        found = predict(cost_of("visionzip", 1, model)["prefill"], h100)
        times = [f"{1e3 * each:.1f}" for each in (found.device, found.seconds(found.eager))]
        assert stands[model.title, "visionzip"][3:] == times


def test_the_head_that_is_an_embedding_is_read_once_all_the_same() -> None:
    small, large = (
        cost_of("off", 1, model_of(f"qwen2.5-vl-{size}"))["decode"] for size in ("3b", "7b")
    )
    assert small.weight_bytes == pytest.approx(2 * 3.086e9, rel=0.01)  # without the tower
    embedding = 152064 * 3584
    assert large.weight_bytes == pytest.approx(2 * (7.616e9 - embedding), rel=0.01)


def test_every_family_is_counted_here_and_most_are_recorded() -> None:
    assert {*KNOWN} == {*IMAGES}
    assert {*KNOWN} - {model.config().model_type for model in MODELS} == {"qwen3_vl"}


def test_a_gpu_s_time_is_predicted_of_any_model(typed: Typed) -> None:
    shown = typed("cost", "--gpu", "h100", "--model", "llava-next-7b", "--method", "divprune")
    assert shown.code == 0, shown
    title = "LLaVA-NeXT-7B, an image of 672 x 672, 2992 prompt tokens, divprune at keep 64"
    assert f"{title}, predicted on h100" in " ".join(shown.out.split())
    dense, divprune = (
        row.split() for row in shown.out.splitlines() if "prefill" in row and row[0] in "d"
    )
    assert float(divprune[6]) < 0.3 * float(dense[6])


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--model", "llava"], "--model llava: choose one of llava-1.5-7b, llava-next-7b, qwen2.5"),
        (["--model", "qwen2.5-vl-3b", "--method", "hybrid"], "that of Qwen2.5-VL is another"),
        (["--model", "llava-next-7b", "--method", "tome"], "have their padding"),
    ],
)
def test_what_no_model_can_run_is_one_line(typed: Typed, words: list[str], line: str) -> None:
    ended = typed("cost", *words)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1), ended
    assert line in ended.err
