"""A schedule: sizes behind the tower's blocks that the host knows. Where it leaves room it changes
nothing; where it does not, the most similar tokens merge, no patch is lost, and that is counted."""

from itertools import pairwise, product
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import CLIPVisionModel

from bench.arms.untrained import config_7b
from bench.cost.count import counting
from bench.gates.sync.scenarios import watch_hybrid
from bench.timing.arms import tower_tokens
from hybrid import ConfigError, HybridConfig, HybridLlava, Keep, hybridize
from hybrid.config import RopeMode
from hybrid.methods.dtome import DToMe
from hybrid.methods.tome import ToMe
from hybrid.reference import Oracle
from hybrid.vision import VisionTower
from tests.llavas import PATCHES, VISION_BLOCKS, batch, in_turns, random_llava
from tests.test_hybrid_model import (
    PRUNES,
    assert_dropped_is_masked,
    assert_near,
    first_logits,
)

NOTHING, FEW, SOME = (1.0,) * 4, (0.9, 0.8, 0.7, 1.0), (0.6, 0.5, 0.4, 1.0)
WIDE = (PATCHES,) * VISION_BLOCKS
# Sizes of the unread last block are there and mean nothing.
TIGHT, HALVES, LATE = (30, 21, 12, 12), (18, 9, 5, 3), (36, 36, 18, 18)
SCHEDULES = (TIGHT, HALVES, LATE)


@pytest.fixture(scope="module")
def llava() -> Any:
    return random_llava()


def merging(llava: Any, thresholds: tuple[float, ...], schedule: Any = None) -> HybridLlava:
    return hybridize(llava, HybridConfig(thresholds=thresholds, schedule=schedule))


def live(llava: Any, thresholds: tuple[float, ...], pixels: Tensor) -> tuple[int, ...]:
    """The most visual tokens that are left of any of the images, behind each block that is read."""
    counts = []

    class Counted(DToMe):
        def merge(self, block: int, tokens: Any, keys: Tensor) -> Any:
            tokens = super().merge(block, tokens, keys)
            counts.append(int((tokens.size > 0).sum(dim=1).max()) - 1)
            return tokens

    with torch.inference_mode():
        VisionTower(llava.model.vision_tower, -2, Counted(thresholds))(pixels)
    return tuple(counts)


def test_a_schedule_of_all_patches_changes_no_bit(llava: Any) -> None:
    given = batch(4)
    for thresholds in (NOTHING, FEW, SOME):
        plain, wide = merging(llava, thresholds), merging(llava, thresholds, WIDE)
        assert torch.equal(first_logits(wide, given), first_logits(plain, given))
        seen = wide.vision(given.pixel_values)
        assert seen.forced is not None and seen.forced.tolist() == [0] * 4
        assert plain.vision(given.pixel_values).forced is None, "nobody counts"


def test_a_schedule_with_room_for_every_image_changes_no_token(llava: Any) -> None:
    given = batch(4)
    for thresholds in (FEW, SOME):
        fits = live(llava, thresholds, given.pixel_values)
        assert fits[-1] < PATCHES, "without merges this says nothing"
        plain, fitted = merging(llava, thresholds), merging(llava, thresholds, (*fits, fits[-1]))
        before, now = (model.vision(given.pixel_values) for model in (plain, fitted))
        slots = fits[-1]
        assert now.features.shape[1] == fitted.slots == slots
        assert torch.equal(now.owner, before.owner)
        assert torch.equal(now.position, before.position[:, :slots])
        assert torch.equal(now.valid, before.valid[:, :slots])
        assert torch.equal(now.size, before.size[:, :slots])
        assert_near(now.features[now.valid], before.features[before.valid])
        assert now.forced is not None and now.forced.tolist() == [0] * 4
        assert_near(first_logits(fitted, given), first_logits(plain, given))


def test_where_there_is_no_room_no_patch_is_lost_and_every_slot_is_taken(llava: Any) -> None:
    pixels = batch(4).pixel_values
    for schedule in SCHEDULES:
        seen = merging(llava, NOTHING, schedule).vision(pixels)
        assert seen.features.shape[1] == schedule[-2]
        assert seen.size.sum(dim=1).tolist() == [PATCHES] * 4, schedule
        assert seen.valid.all()
        assert seen.owner.max() < schedule[-2] and seen.owner.min() >= 0
        # At a threshold of 1 whatever merges is forced.
        assert seen.forced is not None
        assert seen.forced.tolist() == [PATCHES - schedule[-2]] * 4


def test_at_thresholds_of_one_a_schedule_is_tome_bit_for_bit(llava: Any) -> None:
    given = batch(4)
    for schedule in SCHEDULES:
        merges = tuple(before - after for before, after in pairwise((PATCHES, *schedule[:-1])))
        tome = ToMe(Keep(count=schedule[-2]), merges)
        theirs = hybridize(llava, HybridConfig(method=(tome,)))
        ours = merging(llava, NOTHING, schedule)
        assert torch.equal(first_logits(ours, given), first_logits(theirs, given)), schedule


def test_forced_merges_are_counted_as_the_oracle_counts_them(llava: Any) -> None:
    pixels = batch(4).pixel_values
    found = []
    for thresholds in (FEW, SOME):
        for schedule in SCHEDULES:
            config = HybridConfig(thresholds=thresholds, schedule=schedule)
            oracle = Oracle(llava, config)
            expected = [oracle.see(image).forced for image in pixels]
            forced = hybridize(llava, config).vision(pixels).forced
            assert forced is not None
            assert forced.tolist() == expected, config
            found += expected
    assert 0 in found and len(set(found)) > 3, "images differ, and some are not forced"


def test_a_capacity_below_the_schedule_is_reached_and_not_counted(llava: Any) -> None:
    pixels = batch(4).pixel_values
    for capacity, slots in ((7, 7), (12, 12), (20, 12)):
        config = HybridConfig(thresholds=NOTHING, schedule=TIGHT, capacity=capacity)
        model = hybridize(llava, config)
        seen = model.vision(pixels)
        assert model.slots == seen.features.shape[1] == slots
        assert seen.valid.all() and seen.size.sum(dim=1).tolist() == [PATCHES] * 4
        assert seen.forced is not None and seen.forced.tolist() == [PATCHES - 12] * 4


def test_a_sample_does_not_depend_on_its_neighbours_nor_its_count_on_theirs(llava: Any) -> None:
    for case, (schedule, keep) in enumerate(product(SCHEDULES, ("none", "4"))):
        thresholds = FEW if keep == "none" else SOME
        config = HybridConfig(
            keep=keep, aggregation_layer=1, thresholds=thresholds, schedule=schedule
        )
        model = hybridize(llava, config)
        for turn in (case, case + 2):
            given = batch(4, in_turns(turn))
            alone = torch.cat([first_logits(model, given.one(i)) for i in range(4)])
            assert_near(first_logits(model, given), alone)
        together = model.vision(given.pixel_values).forced
        singly = [model.vision(image[None]).forced for image in given.pixel_values]
        assert together is not None
        assert together.tolist() == [int(each) for each in singly if each is not None]


def test_dropping_equals_masking_and_each_rope_answers_in_a_batch_as_alone(llava: Any) -> None:
    for schedule in SCHEDULES:
        config: dict[str, Any] = {"thresholds": FEW, "schedule": schedule}
        pruned = [
            hybridize(llava, HybridConfig(keep=3, aggregation_layer=1, prune=p, **config))
            for p in PRUNES
        ]
        assert_dropped_is_masked(pruned, batch(4), 8)
        ropes: tuple[RopeMode, ...] = ("logical", "compact", "virtual")
        for rope in ropes:
            model, given = hybridize(llava, HybridConfig(rope=rope, **config)), batch(4)
            answers = model.generate(**vars(given), max_new_tokens=8)[:, given.input_ids.shape[1] :]
            for row in range(4):
                one = given.one(row)
                alone = model.generate(**vars(one), max_new_tokens=8)[:, one.input_ids.shape[1] :]
                said = alone[0].tolist()
                assert answers[row].tolist()[: len(said)] == said, (schedule, rope)


def test_cached_decode_is_what_reading_everything_again_says(llava: Any) -> None:
    for schedule in SCHEDULES:
        model, given = merging(llava, FEW, schedule), batch(4)
        inputs = model.place(**vars(given))
        state = model.prefill(inputs, 8)
        for _ in range(8):
            model.select(state)
            said = state.ids[:, : int(state.step) + 1]
            model.decode(state)
            ids = torch.cat([inputs.input_ids, said], dim=1)
            mask = torch.cat([inputs.attention_mask, torch.ones_like(said)], dim=1)
            again = model.prefill(model.place(ids, inputs.pixel_values, mask), 1)
            assert_near(state.logits, again.logits)


def test_the_host_knows_each_size_and_never_waits(llava: Any) -> None:
    given = batch(4)
    for schedule in SCHEDULES:
        config = HybridConfig(keep=3, aggregation_layer=1, thresholds=FEW, schedule=schedule)
        model = hybridize(llava, config)
        assert model.layer_slots == [schedule[-2]] * 2 + [3] * 3
        report, _ = watch_hybrid(model, **vars(given), max_new_tokens=4)
        assert report.in_stage("prefill") == report.in_stage("decode") == 0, report.text()
        assert mlp_lengths(model.vision, given.pixel_values) == [1 + n for n in schedule[:-1]]


def mlp_lengths(tower: VisionTower, pixels: Tensor) -> list[int]:
    """How many tokens each block's MLP works on, CLS included."""
    seen: list[int] = []

    def see(_module: Any, given: Any, _out: Any) -> None:
        seen.append(given[0].shape[1])

    hooks = [block.mlp.register_forward_hook(see) for block in tower.blocks]
    tower(pixels)
    for hook in hooks:
        hook.remove()
    return seen


def test_the_count_comes_with_the_trace(llava: Any) -> None:
    given = batch(4)
    model = merging(llava, NOTHING, TIGHT)
    _, trace = model.generate(**vars(given), max_new_tokens=2, trace=True)
    assert trace.visual.forced is not None
    assert trace.visual.forced.tolist() == [PATCHES - 12] * 4


def test_an_image_that_is_no_numbers_harms_no_other(llava: Any) -> None:
    """Half precision may overflow: what cannot be compared must not stand outside of the slots."""
    given = batch(4)
    for thresholds, schedule in ((NOTHING, TIGHT), (FEW, HALVES)):
        model = merging(llava, thresholds, schedule)
        whole = first_logits(model, given)
        given.pixel_values[2] = float("nan")
        broken = first_logits(model, given)
        given.pixel_values[2] = batch(4).pixel_values[2]
        assert broken[2].isnan().all()
        others = [0, 1, 3]
        assert_near(broken[others], whole[others])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_loses_no_patch(dtype: torch.dtype) -> None:
    half, pixels = random_llava().to(dtype), batch(4).pixel_values.to(dtype)
    for thresholds, schedule in product((NOTHING, FEW), SCHEDULES):
        model = merging(half, thresholds, schedule)
        seen = model.vision(pixels)
        assert seen.features.dtype == dtype and seen.features.shape[1] == schedule[-2]
        assert seen.features.isfinite().all()
        assert seen.size.sum(dim=1).tolist() == [PATCHES] * 4
        assert seen.owner.max() < schedule[-2] and seen.owner.min() >= 0
        if thresholds == NOTHING:
            assert seen.forced is not None and seen.valid.all()
            assert seen.forced.tolist() == [PATCHES - schedule[-2]] * 4


def test_fewer_tokens_are_fewer_flops_in_proportion() -> None:
    """Of the tower of a LLaVA-1.5-7B, counted: an even schedule from 576 to 93 slots."""
    even = tuple(576 - 21 * (block + 1) for block in range(23))
    with torch.device("meta"):
        vision: Any = config_7b().vision_config
        clip: Any = CLIPVisionModel(vision)
        pixels = torch.empty(1, 3, 336, 336)
    flops = []
    for schedule in (None, (576,) * 24, (*even, even[-1])):
        tower = VisionTower(clip, -2, DToMe((0.9,) * 24, None, schedule))
        with torch.inference_mode(), counting() as cost:
            tower(pixels)
        flops.append(cost.flops)
    without, wide, fewer = flops
    assert wide == without
    assert 0.5 < fewer / without < 0.62


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"schedule": (9, 9)},
            "schedule=(9, 9) merges tokens, so it needs thresholds"
            " (1.0 for each CLIP block merges only what the schedule forces)",
        ),
        (
            {"schedule": (9, 10), "thresholds": (0.5, 0.5)},
            "schedule rises from 9 to 10 behind block 1: tokens only become fewer",
        ),
        (
            {"schedule": (9, 0), "thresholds": (0.5, 0.5)},
            "schedule must be whole numbers of visual slots from 1, not (9, 0)",
        ),
        (
            {"schedule": (9.5, 9), "thresholds": (0.5, 0.5)},
            "schedule must be whole numbers of visual slots from 1, not (9.5, 9)",
        ),
        (
            {"schedule": (9, True), "thresholds": (0.5, 0.5)},
            "schedule must be whole numbers of visual slots from 1, not (9, True)",
        ),
        (
            {"schedule": (9,), "thresholds": (0.5, 0.5)},
            "schedule has 1 sizes and thresholds has 2 values: give one of each per CLIP block",
        ),
        (
            {"schedule": (), "thresholds": (0.5, 0.5)},
            "schedule has 0 sizes and thresholds has 2 values: give one of each per CLIP block",
        ),
    ],
)
def test_a_wrong_schedule_is_one_line(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        HybridConfig(**wrong)
    assert str(error.value) == message


def test_a_schedule_of_another_tower_is_refused(llava: Any) -> None:
    for schedule, line in (
        ((37, 30, 20, 20), "schedule leaves 37 of 36 visual tokens behind block 0: .* 18 to 36"),
        ((17, 16, 15, 15), "schedule leaves 17 of 36 visual tokens behind block 0: .* 18 to 36"),
        ((18, 8, 5, 5), "schedule leaves 8 of 18 visual tokens behind block 1: .* 9 to 18"),
        ((18, 9, 4, 4), "schedule leaves 4 of 9 visual tokens behind block 2: .* 5 to 9"),
    ):
        with pytest.raises(ConfigError, match=line):
            merging(llava, SOME, schedule)
    with pytest.raises(ConfigError, match="schedule has 3 sizes, but this tower has 4 CLIP blocks"):
        hybridize(llava, HybridConfig(method=(DToMe(SOME, None, (30, 20, 20)),)))


def test_a_config_without_a_schedule_is_written_as_ever() -> None:
    assert "schedule" not in repr(HybridConfig(thresholds=SOME))
    assert "schedule=(36, 36, 18, 18)" in repr(HybridConfig(thresholds=SOME, schedule=LATE))


def test_the_floor_of_the_tower_is_of_the_tokens_that_it_works_on(llava: Any) -> None:
    for schedule in SCHEDULES:
        assert tower_tokens(merging(llava, FEW, schedule)) == [1 + n for n in schedule[:-1]]
