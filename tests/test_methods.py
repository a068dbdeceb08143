"""Each method by name: what must hold of any rule, whatever it ranks or merges by."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlavaForConditionalGeneration

from bench.arms.published import MADE_OF_A_BUDGET
from bench.base.verdict import Outcome
from bench.gates.method.check import method_gate
from bench.gates.method.promises import PROMISES
from bench.gates.method.trial import MERGED, BehindMerging, Trial, trials
from hybrid import ConfigError, HybridConfig, Keep, hybridize
from hybrid.config import RankMode
from hybrid.methods import METHODS
from hybrid.methods.controls import Lowest, Pool, Random, RandomInside
from hybrid.methods.downsample import Downsample
from hybrid.methods.dtome import DToMe
from hybrid.methods.fastv import FastV
from hybrid.methods.tome import ToMe
from hybrid.methods.visionzip import VisionZip
from hybrid.stages import TowerStage
from hybrid.vision import VisionTower
from tests.llavas import batch, random_llava
from tests.test_hybrid_model import assert_near, first_logits

ROUNDING = 1e-9  # of the logits' deviation, in float64


@pytest.fixture(scope="module")
def llava() -> Any:
    return random_llava()


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
        row, keys = VisionTower(tower, -2, remembers=True).look(pixels).beyond()
        query, key = theirs["q_proj"][:, :1], theirs["k_proj"]
        logits = query @ key.transpose(1, 2) / key.shape[2] ** 0.5
        torch.testing.assert_close(row, logits.softmax(dim=2)[:, 0, 1:])
        torch.testing.assert_close(keys, key[:, 1:])
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
    make, keeps = found["LargestKeys"], [Keep(count=18)]
    for verdict in method_gate("LargestKeys", make, keeps, embedded=False, reproduce=""):
        assert verdict.outcome is Outcome.PASS, verdict


@cache
def tried(name: str) -> list[Trial]:
    return trials(MADE_OF_A_BUDGET[name], embedded=False)


@pytest.mark.parametrize("name", MADE_OF_A_BUDGET)
@pytest.mark.parametrize("promise", PROMISES)
def test_each_method_keeps_each_promise(promise: str, name: str) -> None:
    """What `method check` asks of any method, at each budget that it takes of 36 patches."""
    for trial in tried(name):
        found = PROMISES[promise](trial)
        assert not found.fault, f"{trial}: {found.fault}"
        assert (found.value or 0.0) < ROUNDING, f"{trial}: {found.value}"


def test_each_method_is_tried_at_each_budget_and_behind_merging_where_it_can_stand() -> None:
    for name, make in MADE_OF_A_BUDGET.items():
        # Of 36 patches, three blocks that halve them leave 5.
        budgets = ["1"] * (name != "tome") + ["5", "9", "20", "0.5"]
        stage = make(MERGED)
        by_patch = isinstance(stage, TowerStage) or getattr(stage, "by_patch", False)
        behind = ["7 behind merging"] * (not by_patch)
        assert [str(trial) for trial in tried(name)] == [*budgets, *behind], name
    trial = BehindMerging(METHODS["divprune"], MERGED)
    with torch.inference_mode():
        left = trial.model().vision(trial.batch.pixel_values.double()).valid.sum(dim=1)
    assert left.min() < MERGED.of(36) < left.max(), left


@pytest.mark.parametrize(
    "name", ["visionzip", "divprune", "prumerge-plus", "random-tokens", "grid", "pool"]
)
def test_no_slot_that_is_handed_over_is_empty(name: str) -> None:
    trial = Trial(METHODS[name], Keep(count=9))
    assert trial.prefilled(trial.model()).trace.visual.valid.tolist() == [[True] * 9] * 4
