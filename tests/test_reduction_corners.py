"""Corners of the reduction that answers rarely reach: long prompts, empty slots, other towers."""

from typing import Any, Literal

import pytest
import torch

from hybrid import ConfigError, HybridConfig, Keep, hybridize
from hybrid.methods.tome import ToMe
from hybrid.pruning import random_scores
from hybrid.rope import consecutive_position_ids
from tests.llavas import EITHER_WAY, VISION_BLOCKS, Longest, batch, random_llava

MERGING = (0.6, 0.5, 0.4, 1.0)


@pytest.fixture(scope="module")
def llava() -> Any:
    return random_llava()


def test_positions_are_exact_over_the_whole_context() -> None:
    """Half precision has no odd numbers above 2048, bfloat16 none above 256."""
    length = 4096
    ids = consecutive_position_ids(torch.ones(1, length, dtype=torch.bool))
    assert ids.dtype == torch.int64
    assert ids.tolist() == [list(range(length))]


@pytest.mark.parametrize("count", [VISION_BLOCKS - 1, VISION_BLOCKS + 1])
def test_thresholds_of_another_tower_are_refused(llava: Any, count: int) -> None:
    with pytest.raises(ConfigError, match=f"thresholds has {count} values"):
        hybridize(llava, HybridConfig(thresholds=(0.9,) * count))


@EITHER_WAY
def test_each_of_several_end_tokens_ends_an_answer(llava: Any, longest: Longest) -> None:
    given = batch(4, longest)
    model = hybridize(llava, HybridConfig(keep=5, aggregation_layer=1))
    inputs = vars(given)
    start = given.input_ids.shape[1]
    free = model.generate(**inputs, max_new_tokens=6)[:, start:]
    ends = [int(free[0, 3]), int(free[1, 1])]
    for order in (ends, ends[::-1]):
        model.end_ids = order
        answers = model.generate(**inputs, max_new_tokens=6)[:, start:].tolist()
        for answer, before in zip(answers, free.tolist(), strict=True):
            stop = next((i for i, token in enumerate(before) if token in ends), len(before) - 1)
            said = before[: stop + 1]
            assert answer == (said + [model.pad_id] * 6)[: len(answer)]


@EITHER_WAY
@pytest.mark.parametrize("rank", ["attention", "random", "lowest"])
def test_no_ranking_keeps_an_empty_slot(
    llava: Any, rank: Literal["attention", "random", "lowest"], longest: Longest
) -> None:
    config = HybridConfig(keep=9, aggregation_layer=1, thresholds=MERGING, rank=rank)
    model, given = hybridize(llava, config), batch(4, longest)
    trace = model.prefill(model.place(**vars(given)), 1).trace
    assert trace.kept is not None
    present = trace.visual.valid.gather(1, trace.kept.slot)
    assert not trace.visual.valid.all(), "without empty slots this says nothing"
    assert bool(present[trace.kept.valid].all())


def test_the_random_control_draws_anew_for_each_prompt() -> None:
    position = torch.arange(36).expand(3, -1)
    scores = random_scores(position, torch.tensor([7, 8, 7]))
    assert torch.equal(scores[0], scores[2])
    assert scores[0].argsort().tolist() != scores[1].argsort().tolist()


def test_an_image_that_is_no_numbers_stays_inside_of_its_slots_and_harms_no_other(
    llava: Any,
) -> None:
    """Half precision may overflow, and a cosine with it is no number: such tokens merge first, as
    a shape that the host knows leaves them no other place."""
    for config in (
        HybridConfig(thresholds=MERGING, capacity=7),
        HybridConfig(method=(ToMe(Keep(count=9)),)),
    ):
        model, given = hybridize(llava, config), batch(4)
        whole = model.prefill(model.place(**vars(given)), 1).logits
        given.pixel_values[2] = float("nan")
        broken = model.prefill(model.place(**vars(given)), 1).logits
        assert broken[2].isnan().all()
        torch.testing.assert_close(broken[[0, 1, 3]], whole[[0, 1, 3]], rtol=1e-4, atol=1e-4)
