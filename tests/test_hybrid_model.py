"""The hybrid against transformers and against itself: what must hold whatever is reduced."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import LlavaForConditionalGeneration

from hybrid import ConfigError, HybridConfig, HybridLlava, hybridize
from hybrid.config import PruneMode, RankMode, RopeMode
from tests.llavas import EITHER_WAY, IMAGE_TOKEN, PATCHES, Batch, Longest, batch, random_llava

# Two float32 paths that only sum in another order: a few hundred roundings of logits near 10.
TOLERANCE = 1e-4
SAID_FOR_AN_IMAGE = 5
PRUNES: tuple[PruneMode, ...] = ("drop", "mask")
NOTHING, SOME, ALMOST_ALL = (1.0,) * 4, (0.6, 0.5, 0.4, 1.0), (-1.0, -1.0, -1.0, 1.0)


def assert_near(now: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(now, expected, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.fixture(scope="module")
def llava() -> Any:
    return random_llava()


def first_logits(model: HybridLlava, given: Batch) -> Tensor:
    inputs = model.place(given.input_ids, given.pixel_values, given.attention_mask)
    return model.prefill(inputs, 1).logits


def assert_dropped_is_masked(models: Sequence[HybridLlava], given: Batch, steps: int) -> None:
    """Two models, alike but for that, agree at prefill and in so many decode steps."""
    inputs = [m.place(given.input_ids, given.pixel_values, given.attention_mask) for m in models]
    states = [m.prefill(each, steps) for m, each in zip(models, inputs, strict=True)]
    for _ in range(steps):
        assert_near(states[0].logits, states[1].logits)
        for model, state in zip(models, states, strict=True):
            model.select(state)
            model.decode(state)


def dense_logits(llava: LlavaForConditionalGeneration, given: Batch) -> Tensor:
    with torch.inference_mode():
        logits: Tensor = llava(
            input_ids=given.input_ids,
            pixel_values=given.pixel_values,
            attention_mask=given.attention_mask,
            position_ids=(given.attention_mask.cumsum(1) - 1).clamp(min=0),
        ).logits[:, -1]
    return logits


@EITHER_WAY
@pytest.mark.parametrize("size", [1, 4])
@pytest.mark.parametrize("groups", [4, 2])
@pytest.mark.parametrize("config", [HybridConfig(), HybridConfig(thresholds=NOTHING)], ids=str)
def test_reduction_off_is_transformers_own_model(
    size: int, groups: int, config: HybridConfig, longest: Longest
) -> None:
    llava: Any = random_llava(groups=groups)
    given = batch(size, longest)
    model = hybridize(llava, config)
    assert_near(first_logits(model, given), dense_logits(llava, given))
    theirs = llava.generate(
        input_ids=given.input_ids,
        pixel_values=given.pixel_values,
        attention_mask=given.attention_mask,
        max_new_tokens=12,
        do_sample=False,
    )
    ours = model.generate(
        given.input_ids, given.pixel_values, given.attention_mask, max_new_tokens=12
    )
    assert ours.tolist() == theirs.tolist()


@EITHER_WAY
def test_virtual_unmerging_of_nothing_is_off(
    llava: LlavaForConditionalGeneration, longest: Longest
) -> None:
    given = batch(4, longest)
    model = hybridize(llava, HybridConfig(thresholds=NOTHING, rope="virtual"))
    assert_near(first_logits(model, given), dense_logits(llava, given))


@EITHER_WAY
def test_keeping_as_many_as_there_are_changes_nothing(
    llava: LlavaForConditionalGeneration, longest: Longest
) -> None:
    given = batch(4, longest)
    everything = hybridize(llava, HybridConfig(keep=PATCHES, aggregation_layer=1))
    assert_near(first_logits(everything, given), dense_logits(llava, given))


MATRIX = pytest.mark.parametrize(
    "config",
    [
        HybridConfig(keep=keep, aggregation_layer=layer, thresholds=thresholds, rope=rope)
        for keep in ("1", "5", "0.5", "none")
        for thresholds in (None, SOME, ALMOST_ALL)
        for rope in ("logical", "compact")
        for layer in (0, 2)
    ],
    ids=lambda c: f"{c.budget}-{c.thresholds and c.thresholds[0]}-{c.rope}-{c.aggregation_layer}",
)


@EITHER_WAY
@MATRIX
def test_a_sample_does_not_depend_on_its_neighbours(
    llava: LlavaForConditionalGeneration, config: HybridConfig, longest: Longest
) -> None:
    model, given = hybridize(llava, config), batch(4, longest)
    alone = torch.cat([first_logits(model, given.one(i)) for i in range(len(given))])
    assert_near(first_logits(model, given), alone)


@EITHER_WAY
@pytest.mark.parametrize("thresholds", [None, SOME, ALMOST_ALL])
@pytest.mark.parametrize("rope", ["logical", "compact", "virtual"])
def test_cached_decode_continues_as_a_longer_prompt_would(
    llava: LlavaForConditionalGeneration,
    thresholds: tuple[float, ...] | None,
    rope: RopeMode,
    longest: Longest,
) -> None:
    """Without pruning, since a longer prompt would rank by another last token.

    Random weights may say the image's placeholder, which a longer prompt cannot hold: another
    token stands for it in both.
    """
    config = HybridConfig(thresholds=thresholds, rope=rope)
    model, given = hybridize(llava, config), batch(4, longest)
    inputs = model.place(given.input_ids, given.pixel_values, given.attention_mask)
    state = model.prefill(inputs, 3)
    ids, mask = given.input_ids, given.attention_mask
    for _ in range(3):
        model.select(state)
        with torch.inference_mode():
            state.token.masked_fill_(state.token == IMAGE_TOKEN, SAID_FOR_AN_IMAGE)
        model.decode(state)
        ids = torch.cat([ids, state.token[:, None]], dim=1)
        mask = torch.cat([mask, torch.ones_like(state.token)[:, None]], dim=1)
        longer = first_logits(model, Batch(ids, given.pixel_values, mask))
        assert_near(state.logits, longer)


@EITHER_WAY
@pytest.mark.parametrize("keep", ["1", "5", "0.5"])
@pytest.mark.parametrize("thresholds", [None, SOME, ALMOST_ALL])
@pytest.mark.parametrize("layer", [0, 2])
def test_dropping_equals_masking_at_prefill_and_in_every_decode_step(
    llava: LlavaForConditionalGeneration,
    keep: str,
    thresholds: tuple[float, ...] | None,
    layer: int,
    longest: Longest,
) -> None:
    configs = [
        HybridConfig(keep=keep, aggregation_layer=layer, thresholds=thresholds, prune=prune)
        for prune in PRUNES
    ]
    assert_dropped_is_masked([hybridize(llava, c) for c in configs], batch(4, longest), 4)


@EITHER_WAY
@pytest.mark.parametrize("rank", ["attention", "random", "lowest"])
def test_what_is_kept_does_not_depend_on_padding_or_neighbours(
    llava: LlavaForConditionalGeneration, rank: RankMode, longest: Longest
) -> None:
    model = hybridize(llava, HybridConfig(keep=5, aggregation_layer=1, rank=rank))
    given = batch(4, longest)
    ids = given.input_ids.masked_fill(given.attention_mask == 0, 7)  # a pad token that is not 0
    together = model.prefill(model.place(ids, given.pixel_values, given.attention_mask), 1)
    assert together.trace.kept is not None
    for i, slots in enumerate(together.trace.kept.slot.tolist()):
        one = given.one(i)
        alone = model.prefill(model.place(one.input_ids, one.pixel_values), 1).trace.kept
        assert alone is not None
        assert alone.slot.tolist() == [slots]


def test_layers_behind_the_aggregation_layer_hold_short_caches(
    llava: LlavaForConditionalGeneration,
) -> None:
    model, given = hybridize(llava, HybridConfig(keep=5, aggregation_layer=1)), batch(1)
    inputs = model.place(given.input_ids, given.pixel_values, given.attention_mask)
    state = model.prefill(inputs, 7)
    length = given.input_ids.shape[1]
    short = length - PATCHES + 5
    assert [state.cache.prompt_length(i) for i in range(5)] == [length] * 2 + [short] * 3
    entries = 2 * (length + 7) + 3 * (short + 7)
    assert state.cache.nbytes() == entries * 2 * 32 * 4  # key and value, width 32, float32


@EITHER_WAY
def test_every_sample_keeps_its_own_share(
    llava: LlavaForConditionalGeneration, longest: Longest
) -> None:
    config = HybridConfig(keep="0.5", aggregation_layer=1, thresholds=SOME)
    model, given = hybridize(llava, config), batch(4, longest)
    inputs = model.place(given.input_ids, given.pixel_values, given.attention_mask)
    trace = model.prefill(inputs, 1).trace
    present = trace.visual.valid.sum(dim=1).tolist()
    assert trace.kept is not None
    assert trace.kept.valid.sum(dim=1).tolist() == [max(1, n // 2) for n in present]
    assert len(set(present)) > 1, "the batch must hold different counts for this to say anything"


@pytest.mark.parametrize("capacity", [1, 7, 35])
def test_capacity_bounds_the_visual_slots_and_loses_no_patch(
    llava: LlavaForConditionalGeneration, capacity: int
) -> None:
    config = HybridConfig(thresholds=NOTHING, capacity=capacity)
    model, given = hybridize(llava, config), batch(4)
    visual = model.vision(given.pixel_values)
    assert visual.features.shape[1] == capacity
    assert visual.size.sum(dim=1).tolist() == [PATCHES] * 4
    assert visual.valid.all()


@EITHER_WAY
def test_an_answer_ends_with_its_end_token_and_is_padded_behind(
    llava: LlavaForConditionalGeneration,
    longest: Longest,
) -> None:
    given = batch(4, longest)
    model = hybridize(llava, HybridConfig(keep=5, aggregation_layer=1))
    free = model.generate(
        given.input_ids, given.pixel_values, given.attention_mask, max_new_tokens=8
    )
    new = free[:, given.input_ids.shape[1] :]
    model.end_ids = [int(new[0, 2])]  # what sample 0 says third now ends every answer
    ended = model.generate(
        given.input_ids, given.pixel_values, given.attention_mask, max_new_tokens=8
    )[:, given.input_ids.shape[1] :]
    for before, now in zip(new.tolist(), ended.tolist(), strict=True):
        stop = before.index(model.end_ids[0]) if model.end_ids[0] in before else len(before)
        expected = before[: stop + 1]
        assert now == (expected + [0] * 8)[: len(now)]


def test_a_trace_says_what_was_merged_and_kept(llava: LlavaForConditionalGeneration) -> None:
    given = batch(2)
    model = hybridize(llava, HybridConfig(keep=5, aggregation_layer=1, thresholds=SOME))
    ids, trace = model.generate(
        given.input_ids, given.pixel_values, given.attention_mask, max_new_tokens=2, trace=True
    )
    assert ids.shape[0] == trace.visual.owner.shape[0] == 2
    assert trace.visual.owner.shape[1] == PATCHES
    assert trace.kept is not None and trace.kept.slot.shape == (2, 5)
    assert trace.scores is not None and trace.scores.shape == (2, PATCHES)


def test_the_given_model_is_left_untouched(llava: LlavaForConditionalGeneration) -> None:
    given = batch(1)
    before = dense_logits(llava, given)
    hybridize(llava, HybridConfig(keep=3, thresholds=SOME)).generate(
        given.input_ids, given.pixel_values, max_new_tokens=2
    )
    assert torch.equal(before, dense_logits(llava, given))


@pytest.mark.parametrize(
    ("config", "named"),
    [
        (HybridConfig(thresholds=(0.9,) * 3), "thresholds has 3 values"),
        (HybridConfig(keep=3, aggregation_layer=4), "aggregation_layer=4"),
    ],
)
def test_a_config_that_does_not_fit_the_model_is_refused(
    llava: LlavaForConditionalGeneration, config: HybridConfig, named: str
) -> None:
    with pytest.raises(ConfigError, match=named):
        hybridize(llava, config)


def test_placeholders_are_those_of_the_images(llava: LlavaForConditionalGeneration) -> None:
    model, given = hybridize(llava, HybridConfig()), batch(1)
    without = torch.where(given.input_ids == IMAGE_TOKEN, 5, given.input_ids)
    twice = torch.cat([given.input_ids, given.input_ids], dim=1)
    with pytest.raises(ConfigError, match="1 of 1 images have no placeholders in any prompt"):
        model.place(without, given.pixel_values)
    with pytest.raises(ConfigError, match="36 image placeholders in a row, and there is no image"):
        model.place(twice, given.pixel_values)
    with pytest.raises(ConfigError, match="prompt 0 holds 36 image placeholders in a row, and"):
        model.place(given.input_ids)
    broken = given.input_ids.clone()
    broken[0, 4 + PATCHES // 2] = 5
    with pytest.raises(ConfigError, match="18 image placeholders in a row, and the next image tak"):
        model.place(broken, given.pixel_values)
    bare = given.input_ids[:, : 4 + PATCHES]
    with pytest.raises(ConfigError, match="prompt 0 ends with its image"):
        model.place(bare, given.pixel_values)
    with pytest.raises(ConfigError, match="1 of 2 images have no placeholders"):
        model.place(given.input_ids, given.pixel_values.repeat(2, 1, 1, 1))


def test_padding_on_the_right_is_refused(llava: LlavaForConditionalGeneration) -> None:
    model, given = hybridize(llava, HybridConfig()), batch(2)
    with pytest.raises(ConfigError, match="padded on the right"):
        model.place(given.input_ids, given.pixel_values, given.attention_mask.flip(1))
