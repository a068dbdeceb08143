"""What of graph replay can be shown without a GPU: all but the capture itself, which is played."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from bench.arms.untrained import Batch, batch_of
from hybrid import ConfigError, HybridConfig, HybridLlava, Keep, graphs, hybridize
from hybrid.graphs import GraphedLlava, bucket_of, left_padded
from hybrid.methods import METHODS
from tests.llavas import EITHER_WAY, SHAPE, Longest, batch, random_llava
from tests.played_graphs import PlayedGraph, played_capture, tensors


@pytest.fixture(scope="module")
def llava() -> Any:
    return random_llava()


def test_a_prompt_goes_into_the_smallest_bucket_that_holds_it() -> None:
    assert [bucket_of(n, (768, 640)) for n in (1, 640, 641, 768)] == [640, 640, 768, 768]


def test_a_prompt_longer_than_every_bucket_names_the_limit_and_how_to_raise_it() -> None:
    with pytest.raises(ConfigError, match=r"769 tokens .* bucket 768: .*buckets=.* at least 769"):
        bucket_of(769, (640, 768))


@EITHER_WAY
@pytest.mark.parametrize("keep", ["5", "0.5", "none"])
@pytest.mark.parametrize("thresholds", [None, (0.6, 0.5, 0.4, 1.0)])
def test_padding_to_a_bucket_changes_no_logits(
    llava: Any, keep: str, thresholds: tuple[float, ...] | None, longest: Longest
) -> None:
    config = HybridConfig(keep=keep, aggregation_layer=1, thresholds=thresholds)
    model, given = hybridize(llava, config), batch(4, longest)
    inputs = model.place(given.input_ids, given.pixel_values, given.attention_mask)
    plain = model.prefill(inputs, 1).logits
    padded = model.prefill(left_padded(inputs, 64), 1).logits
    torch.testing.assert_close(padded, plain, rtol=1e-4, atol=1e-4)


def test_graphs_are_refused_without_a_cuda_device(llava: Any) -> None:
    with pytest.raises(ConfigError, match="captured on a CUDA device, not on cpu"):
        GraphedLlava(llava, HybridConfig())


@pytest.fixture
def captures(monkeypatch: pytest.MonkeyPatch) -> list[PlayedGraph]:
    """Graphs are played from here on; lists those that were captured."""
    captured: list[PlayedGraph] = []
    monkeypatch.setattr(graphs, "_demand_cuda", lambda device: None)
    monkeypatch.setattr(graphs, "capture", played_capture(captured))
    return captured


CONFIG = HybridConfig(keep=5, aggregation_layer=1, thresholds=(0.6, 0.5, 0.4, 1.0))


@EITHER_WAY
@pytest.mark.parametrize("keep", ["5", "0.5", "none"])
@pytest.mark.parametrize("size", [1, 4])
def test_played_replay_answers_as_eager_does(
    llava: Any, captures: list[PlayedGraph], size: int, keep: str, longest: Longest
) -> None:
    config = HybridConfig(keep=keep, aggregation_layer=1, thresholds=(0.6, 0.5, 0.4, 1.0))
    graphed, eager = GraphedLlava(llava, config, buckets=(64,)), hybridize(llava, config)
    given = vars(batch(size, longest))
    for pixels in (given["pixel_values"], -given["pixel_values"]):  # captures, then only replays
        asked = given | {"pixel_values": pixels}
        answer = graphed.generate(**asked, max_new_tokens=12)
        assert answer.tolist() == eager.generate(**asked, max_new_tokens=12).tolist()
    assert len(captures) == 3  # prefill, select, decode


def test_played_replay_counts_the_merges_that_a_schedule_forces_on_each_batch(
    llava: Any, captures: list[PlayedGraph]
) -> None:
    config = replace(CONFIG, thresholds=(0.9, 0.8, 0.7, 1.0), schedule=(30, 21, 12, 12))
    graphed, eager = GraphedLlava(llava, config, buckets=(64,)), hybridize(llava, config)
    given, found = vars(batch(4)), []
    for pixels in (given["pixel_values"], -given["pixel_values"]):  # captures, then only replays
        asked = given | {"pixel_values": pixels}
        ids, trace = graphed.generate(**asked, max_new_tokens=6, trace=True)
        expected_ids, expected = eager.generate(**asked, max_new_tokens=6, trace=True)
        assert ids.tolist() == expected_ids.tolist()
        assert trace.visual.forced is not None and expected.visual.forced is not None
        assert trace.visual.forced.tolist() == expected.visual.forced.tolist()
        assert trace.visual.features.shape[1] == 12
        found.append(trace.visual.forced.tolist())
    assert found[0] != found[1], "counts of the batch before would not be seen"


def test_played_replay_answers_as_eager_does_with_every_method(
    llava: Any, captures: list[PlayedGraph]
) -> None:
    given = vars(batch(4))
    for name, make in METHODS.items():
        config = HybridConfig(method=(make(Keep(count=9)),))
        graphed, eager = GraphedLlava(llava, config, buckets=(64,)), hybridize(llava, config)
        for pixels in (given["pixel_values"], -given["pixel_values"]):
            asked = given | {"pixel_values": pixels}
            answer = graphed.generate(**asked, max_new_tokens=4)
            assert answer.equal(eager.generate(**asked, max_new_tokens=4)), name
    assert len(captures) == 3 * len(METHODS)


# Other lengths, places of the image and padded rows; all as long, so that no row is padded by
# the bucket alone, and one graph serves all.
ASKED = [
    [(3, 12), (5, 10), (13, 2)],  # no padding at all
    [(4, 11), (2, 3), (6, 9)],
    [(1, 1), (9, 6), (3, 12)],
    [(12, 3), (7, 8), (2, 2)],
]


def asked(number: int) -> Batch:
    """The batch of that number, with images of its own."""
    given = batch_of(SHAPE, ASKED[number % len(ASKED)])
    return Batch(
        given.input_ids,
        given.pixel_values.roll(number, 0) * (1 - 0.4 * number),
        given.attention_mask,
    )


@pytest.mark.parametrize("first", [0, 2])
@pytest.mark.parametrize("keep", ["5", "none"])
@pytest.mark.parametrize("thresholds", [None, (0.6, 0.5, 0.4, 1.0)])
def test_a_replay_reads_other_inputs_than_those_of_the_capture(
    llava: Any, captures: list[PlayedGraph], keep: str, first: int, thresholds: Any
) -> None:
    """Step by step: everything that a state holds, not only what is chosen from it."""
    config = HybridConfig(keep=keep, aggregation_layer=1, thresholds=thresholds)
    graphed, eager = GraphedLlava(llava, config, buckets=(51,)), hybridize(llava, config)
    for number in range(first, first + len(ASKED)):
        inputs = eager.place(**vars(asked(number)))
        ours, theirs = graphed.prefill(inputs, 4), eager.prefill(left_padded(inputs, 51), 4)
        for _ in range(4):
            for now, expected in zip(tensors(ours), tensors(theirs), strict=True):
                torch.testing.assert_close(now, expected, rtol=1e-4, atol=1e-4)
            for model, state in ((graphed, ours), (eager, theirs)):
                model.select(state)
                model.decode(state)
    assert len(captures) == 3


@pytest.mark.parametrize("name", ["input_ids", "pixel_values", "attention_mask"])
def test_each_input_alone_reaches_a_replay(
    llava: Any, captures: list[PlayedGraph], name: str
) -> None:
    """And the tensors of the call that captured are the caller's own."""
    graphed, eager = GraphedLlava(llava, CONFIG, buckets=(51,)), hybridize(llava, CONFIG)
    first = eager.place(**vars(batch_of(SHAPE, [(5, 10), (7, 8)])))
    before = {key: getattr(first, key).clone() for key in vars(batch(1))}
    graphed.prefill(first, 2)
    changed = {
        "input_ids": first.input_ids.where(first.input_ids == SHAPE.image_token, 7),
        "pixel_values": -first.pixel_values,
        "attention_mask": torch.cat([torch.zeros(2, 3).long(), first.attention_mask[:, 3:]], dim=1),
    }
    given = {key: getattr(first, key) for key in vars(batch(1))} | {name: changed[name]}
    other = replace(eager.place(**given), padded=True)
    expected = eager.prefill(other, 2).logits
    torch.testing.assert_close(graphed.prefill(other, 2).logits, expected, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(expected, eager.prefill(first, 2).logits, rtol=1e-3, atol=1e-3)
    assert all(torch.equal(getattr(first, key), value) for key, value in before.items())


def test_an_answer_that_ended_leaves_nothing_to_the_next_one(
    llava: Any, captures: list[PlayedGraph]
) -> None:
    graphed, eager = GraphedLlava(llava, CONFIG, buckets=(51,)), hybridize(llava, CONFIG)
    first = vars(asked(1))
    ends = eager.generate(**first, max_new_tokens=2)[:, -2].tolist()
    graphed.end_ids = eager.end_ids = ends  # all of the first batch end at once
    for number in (1, 2, 3, 1, 0):
        given = vars(asked(number))
        answer = graphed.generate(**given, max_new_tokens=6)
        assert answer.tolist() == eager.generate(**given, max_new_tokens=6).tolist()


def test_states_of_two_graphs_are_decoded_in_turn(llava: Any, captures: list[PlayedGraph]) -> None:
    graphed, eager = GraphedLlava(llava, CONFIG, buckets=(51,)), hybridize(llava, CONFIG)
    inputs = [eager.place(**vars(batch_of(SHAPE, ASKED[2][:size]))) for size in (1, 2, 3)]
    inputs = [left_padded(one, 51) for one in inputs]
    ours = [graphed.prefill(one, 3) for one in inputs]
    theirs = [eager.prefill(one, 3) for one in inputs]
    for _ in range(3):
        for mine, expected in zip(ours, theirs, strict=True):
            torch.testing.assert_close(mine.logits, expected.logits, rtol=1e-4, atol=1e-4)
            graphed.select(mine), eager.select(expected)
            graphed.decode(mine), eager.decode(expected)


def test_graphs_are_captured_once_for_each_batch_bucket_and_number_of_tokens(
    llava: Any, captures: list[PlayedGraph]
) -> None:
    graphed = GraphedLlava(llava, CONFIG, buckets=(48, 64))
    short, long = (vars(batch_of(SHAPE, texts)) for texts in ([(4, 6)], [(4, 6), (3, 12)]))
    assert [short["input_ids"].shape[1], long["input_ids"].shape[1]] == [46, 51]
    for given, tokens in ((short, 3), (short, 3), (long, 3), (short, 4), (long, 3)):
        graphed.generate(**given, max_new_tokens=tokens)
    assert len(captures) == 3 * 3


def test_a_prefill_leaves_the_callers_tensors_and_overwrites_its_own_state(
    llava: Any, captures: list[PlayedGraph]
) -> None:
    graphed, eager = GraphedLlava(llava, CONFIG, buckets=(46,)), hybridize(llava, CONFIG)
    given = batch(1)
    first = graphed.place(given.input_ids, given.pixel_values, given.attention_mask)
    other = graphed.place(given.input_ids, -given.pixel_values, given.attention_mask)
    before = first.pixel_values.clone()
    state = graphed.prefill(first, 2)
    kept = state.logits.clone()
    assert graphed.prefill(other, 2) is state
    assert torch.equal(first.pixel_values, before)
    assert not torch.allclose(state.logits, kept)
    torch.testing.assert_close(state.logits, eager.prefill(left_padded(other, 46), 2).logits)


def test_a_state_of_another_model_is_refused(llava: Any, captures: list[PlayedGraph]) -> None:
    graphed, eager = GraphedLlava(llava, CONFIG, buckets=(64,)), HybridLlava(llava, CONFIG)
    given = batch(1)
    state = eager.prefill(eager.place(**vars(given)), 2)
    with pytest.raises(ValueError, match="not one that this model's prefill returned"):
        graphed.decode(state)


def test_a_prompt_too_long_for_every_bucket_is_refused_before_anything_is_captured(
    llava: Any, captures: list[PlayedGraph]
) -> None:
    with pytest.raises(ConfigError, match=r"46 tokens .* largest bucket 40: .* at least 46"):
        GraphedLlava(llava, CONFIG, buckets=(40,)).generate(**vars(batch(1)), max_new_tokens=2)
    assert captures == []


@EITHER_WAY
@pytest.mark.skipif(not torch.cuda.is_available(), reason="graph capture needs a CUDA device")
@pytest.mark.parametrize("size", [1, 4])
def test_replay_equals_eager(size: int, longest: Longest) -> None:
    llava: Any = random_llava().to("cuda")
    config = HybridConfig(keep=5, aggregation_layer=1, thresholds=(0.6, 0.5, 0.4, 1.0))
    given = vars(batch(size, longest))
    eager = hybridize(llava, config).generate(**given, max_new_tokens=12)
    graphed = GraphedLlava(llava, config, buckets=(64,))
    for _ in range(2):  # the first call captures, the second only replays
        assert graphed.generate(**given, max_new_tokens=12).tolist() == eager.tolist()


@pytest.mark.parametrize("buckets", [(), (0,), (64, -1)])
def test_no_bucket_is_refused_when_the_model_is_made(llava: Any, buckets: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match=r"buckets=\(.*must be prompt lengths"):
        GraphedLlava(llava, HybridConfig(), buckets=buckets)
