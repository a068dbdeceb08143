"""Each method by name: what must hold of any rule, whatever it ranks or merges by."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlavaForConditionalGeneration

from bench.gates.sync.scenarios import watch_hybrid
from hybrid import ConfigError, HybridConfig, HybridLlava, Keep, hybridize
from hybrid.config import RankMode
from hybrid.methods import METHODS
from hybrid.methods.controls import Lowest, Pool, Random, RandomInside
from hybrid.methods.downsample import Downsample
from hybrid.methods.dtome import DToMe
from hybrid.methods.fastv import FastV
from hybrid.methods.tome import ToMe
from hybrid.methods.visionzip import VisionZip
from hybrid.stages import ImageStage, TowerStage
from hybrid.vision import VisionTower
from tests.llavas import PATCHES, Longest, batch, in_turns, random_llava
from tests.test_hybrid_model import (
    PRUNES,
    assert_dropped_is_masked,
    assert_near,
    dense_logits,
    first_logits,
)

EACH = pytest.mark.parametrize("name", METHODS)
# Of 36 patches, three blocks that halve them leave 5.
POSSIBLE = [
    (name, keep)
    for name in METHODS
    for keep in ("1", "9", "20", "0.5")
    if (name, keep) != ("tome", "1")
]
BUDGETS = pytest.mark.parametrize(("name", "keep"), POSSIBLE)
IN_TURNS = pytest.mark.parametrize(
    ("name", "keep", "longest"), [(*case, in_turns(i)) for i, case in enumerate(POSSIBLE)]
)


@pytest.fixture(scope="module")
def llava() -> Any:
    return random_llava()


def reduced(llava: Any, name: str, keep: str, **others: Any) -> HybridLlava:
    return hybridize(llava, HybridConfig(method=(METHODS[name](Keep.parse(keep)),), **others))


@EACH
def test_a_budget_of_everything_is_off(llava: LlavaForConditionalGeneration, name: str) -> None:
    given = batch(4)
    for keep in ("none", str(PATCHES)):
        assert_near(first_logits(reduced(llava, name, keep), given), dense_logits(llava, given))


@IN_TURNS
def test_a_sample_does_not_depend_on_its_neighbours(
    llava: LlavaForConditionalGeneration, name: str, keep: str, longest: Longest
) -> None:
    model, given = reduced(llava, name, keep), batch(4, longest)
    alone = torch.cat([first_logits(model, given.one(i)) for i in range(len(given))])
    assert_near(first_logits(model, given), alone)


@IN_TURNS
def test_dropping_equals_masking_at_prefill_and_in_every_decode_step(
    llava: LlavaForConditionalGeneration, name: str, keep: str, longest: Longest
) -> None:
    models = [reduced(llava, name, keep, prune=prune) for prune in PRUNES]
    assert_dropped_is_masked(models, batch(4, longest), 8)


@BUDGETS
def test_the_host_knows_how_many_tokens_each_layer_gets(
    llava: LlavaForConditionalGeneration, name: str, keep: str
) -> None:
    model, given = reduced(llava, name, keep), batch(4)
    inputs = model.place(given.input_ids, given.pixel_values, given.attention_mask)
    state = model.prefill(inputs, 2)
    text = given.input_ids.shape[1] - PATCHES
    found = [state.cache.prompt_length(layer) - text for layer in range(5)]
    assert found == model.layer_slots
    kept = Keep.parse(keep).of(PATCHES)
    assert model.layer_slots[-1] <= kept or name == "pyramiddrop"


@EACH
def test_the_host_never_waits(llava: LlavaForConditionalGeneration, name: str) -> None:
    report, _ = watch_hybrid(reduced(llava, name, "9"), **vars(batch(4)), max_new_tokens=4)
    assert report.in_stage("prefill") == report.in_stage("decode") == 0, report.text()


@EACH
def test_what_stays_keeps_its_own_position(llava: LlavaForConditionalGeneration, name: str) -> None:
    model, given = reduced(llava, name, "9"), batch(4)
    inputs = model.place(given.input_ids, given.pixel_values, given.attention_mask)
    trace = model.prefill(inputs, 2).trace
    kept = trace.kept
    for row in range(4):
        first = int((given.input_ids[row] == given.input_ids.max()).nonzero()[0])
        padding = int((given.attention_mask[row] == 0).sum())
        position, valid = trace.visual.position[row], trace.visual.valid[row]
        patches = position[kept.slot[row][kept.valid[row]]] if kept else position[valid]
        assert patches.tolist() == sorted(set(patches.tolist()))
        stands = trace.pruned_position_ids[row, first : first + len(patches)]
        assert stands.tolist() == (patches + first - padding).tolist()


@pytest.mark.parametrize(
    "name", ["visionzip", "divprune", "prumerge-plus", "random-tokens", "grid", "pool"]
)
def test_a_slot_that_is_handed_over_stands_at_a_patch_of_its_own(
    llava: LlavaForConditionalGeneration, name: str
) -> None:
    model, given = reduced(llava, name, "9"), batch(4)
    inputs = model.place(given.input_ids, given.pixel_values, given.attention_mask)
    visual = model.prefill(inputs, 2).trace.visual
    slots = torch.arange(9).expand(4, -1)
    assert visual.valid.all() and visual.owner.gather(1, visual.position).equal(slots)


def test_what_cls_attends_to_is_what_transformers_says() -> None:
    llava = random_llava()
    tower = VisionTower(llava.model.vision_tower, -2, remembers=True)
    pixels = batch(4).pixel_values
    with torch.inference_mode():
        looked = tower.look(pixels)
        llava.model.vision_tower.config._attn_implementation = "eager"
        theirs = llava.model.vision_tower(pixels, output_attentions=True).attentions[-2]
    torch.testing.assert_close(looked.attention(), theirs[:, :, 0, 1:])


def test_the_block_behind_projects_as_in_transformers_and_there_must_be_one() -> None:
    llava = random_llava()
    tower, pixels = llava.model.vision_tower, batch(4).pixel_values
    attention, given = tower.encoder.layers[-1].self_attn, dict[str, torch.Tensor]()
    for name in ("q_proj", "k_proj"):
        module = getattr(attention, name)
        module.register_forward_hook(lambda _, __, out, name=name: given.update({name: out}))
    with torch.inference_mode():
        tower(pixels)
        theirs = given.copy()
        query, keys = VisionTower(tower, -2, remembers=True).look(pixels).beyond()
        torch.testing.assert_close(query, theirs["q_proj"][:, :1])
        torch.testing.assert_close(keys, theirs["k_proj"])
        with pytest.raises(ConfigError, match="vision_feature_layer reads the last one"):
            VisionTower(tower, -1, remembers=True).look(pixels).beyond()


def test_a_smaller_image_goes_through_the_tower_as_in_transformers() -> None:
    llava = random_llava()
    tower, pixels = llava.model.vision_tower, batch(4).pixel_values
    for side in (1, 2, 4, 5):
        stage = Downsample(Keep(count=side * side))
        with torch.inference_mode():
            ours = VisionTower(tower, -2, image=stage)(pixels)
            theirs = tower(
                stage.smaller(pixels, side * 14),
                output_hidden_states=True,
                interpolate_pos_encoding=True,
            ).hidden_states[-2]
        torch.testing.assert_close(ours.features, theirs[:, 1:], msg=f"{side} patches a side")


def test_a_smaller_image_can_merge_and_be_pruned(llava: Any) -> None:
    method = (Downsample(Keep(count=16)), ToMe(Keep(count=7)), FastV(Keep(count=3), 2))
    model, given = hybridize(llava, HybridConfig(method=method)), batch(4)
    assert model.layer_slots == [7, 7, 3, 3, 3]
    alone = torch.cat([first_logits(model, given.one(i)) for i in range(4)])
    assert_near(first_logits(model, given), alone)


def test_behind_merging_a_sample_still_ignores_its_neighbours_and_its_empty_slots(
    llava: LlavaForConditionalGeneration,
) -> None:
    given = batch(4)
    for name, make in METHODS.items():
        stage = make(Keep(count=7))
        if isinstance(stage, ImageStage | TowerStage) or getattr(stage, "by_patch", False):
            continue
        merging: dict[str, Any] = {"method": (stage,), "thresholds": (0.6, 0.5, 0.4, 1.0)}
        models = [hybridize(llava, HybridConfig(**merging, prune=prune)) for prune in PRUNES]
        left = models[0].vision(given.pixel_values).valid.sum(dim=1)
        assert left.min() < 7 < left.max(), left
        alone = torch.cat([first_logits(models[0], given.one(i)) for i in range(4)])
        torch.testing.assert_close(
            first_logits(models[0], given), alone, rtol=1e-4, atol=1e-4, msg=name
        )
        assert_dropped_is_masked(models, given, 3)


def test_methods_go_together_and_what_does_not_is_refused(llava: Any) -> None:
    given, nine = batch(4), Keep(count=9)
    together = hybridize(
        llava, HybridConfig(method=(VisionZip(nine),), keep=3, aggregation_layer=1)
    )
    assert together.layer_slots == [9, 9, 3, 3, 3]
    alone = torch.cat([first_logits(together, given.one(i)) for i in range(4)])
    assert_near(first_logits(together, given), alone)
    fine, late = FastV(nine, 2), FastV(nine, 5)
    for method, line in (
        ((fine, RandomInside(nine, 2)), "rising layers"),
        ((late,), "1 to 4"),
        ((DToMe((0.5,) * 4), DToMe((0.5,) * 4)), "room for one"),
        ((VisionZip(nine), DToMe((0.5,) * 4)), "VisionZip needs each patch .* DToMe"),
        ((Random(nine), Pool(nine)), "Pool needs each patch .* behind Random"),
        ((ToMe(Keep(count=1)),), "half of them can merge at most"),
        ((Downsample(nine), Downsample(nine)), "smaller: there is room for one"),
        ((Downsample(nine), Pool(nine)), "Pool needs each patch .* behind Downsample"),
        ((object(),), "none of the places"),
    ):
        with pytest.raises(ConfigError, match=line):
            hybridize(llava, HybridConfig(method=method))


def test_fastv_by_name_is_fastv_by_keep(llava: LlavaForConditionalGeneration) -> None:
    given = batch(4)
    ranks: tuple[tuple[RankMode, type[FastV]], ...] = (("attention", FastV), ("lowest", Lowest))
    for rank, stage in ranks:
        short = HybridConfig(keep=9, aggregation_layer=1, rank=rank)
        long = HybridConfig(method=(stage(Keep(count=9), 2),))
        ours, theirs = hybridize(llava, long), hybridize(llava, short)
        assert torch.equal(first_logits(ours, given), first_logits(theirs, given))


def test_the_example_of_the_page_is_a_method(
    llava: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parents[1] / "docs" / "adding-a-method.md").read_text(encoding="utf-8")
    [code] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    found: dict[str, Any] = {"llava": llava, "__name__": "mine"}
    exec(code, found)
    assert capsys.readouterr().out == "[36, 36, 18, 18, 18]\n"
    model, given = found["model"], batch(4)
    alone = torch.cat([first_logits(model, given.one(i)) for i in range(4)])
    assert_near(first_logits(model, given), alone)
    report, _ = watch_hybrid(model, **vars(given), max_new_tokens=3)
    assert report.in_stage("prefill") == report.in_stage("decode") == 0
