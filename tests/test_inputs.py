"""Whether a batch is padded, and who its rows are, is asked of every row."""

from itertools import permutations, product
from typing import Any

import pytest
import torch

from bench.arms.untrained import Batch, batch_of
from hybrid import HybridConfig, hybridize
from tests.llavas import SHAPE, batch, every_config, in_order, random_llava


@pytest.fixture(scope="module")
def llava() -> Any:
    return random_llava()


@pytest.mark.parametrize("padded", [*product([False, True], repeat=4)])
def test_a_batch_is_padded_if_any_of_its_rows_is(llava: Any, padded: tuple[bool, ...]) -> None:
    given = batch_of(SHAPE, [(4, 6)] * 4)
    mask = given.attention_mask.clone()
    for row, is_padded in enumerate(padded):
        mask[row, : row + 1] = 0 if is_padded else 1
    model = hybridize(llava, HybridConfig())
    assert model.place(given.input_ids, given.pixel_values, mask).padded == any(padded)
    assert not model.place(given.input_ids, given.pixel_values).padded


@pytest.mark.parametrize("config", every_config(), ids=str)
def test_the_order_of_a_batch_changes_nobody_s_logits(llava: Any, config: HybridConfig) -> None:
    model, given = hybridize(llava, config), batch(4)
    straight = model.prefill(model.place(**vars(given)), 2)
    model.select(straight)
    model.decode(straight)
    for order in [[1, 0, 3, 2], [3, 2, 1, 0], [2, 3, 0, 1]]:
        turned = in_order(given, order)
        state = model.prefill(model.place(**vars(turned)), 2)
        model.select(state)
        model.decode(state)
        torch.testing.assert_close(state.logits, straight.logits[order], rtol=1e-4, atol=1e-4)
        assert state.token.tolist() == straight.token[order].tolist()


@pytest.mark.parametrize("order", [*permutations([(3, 12), (4, 6), (2, 2)])], ids=str)
def test_wherever_the_longest_prompt_stands_each_is_answered_as_alone(
    llava: Any, order: tuple[tuple[int, int], ...]
) -> None:
    model, given = (
        hybridize(llava, HybridConfig(keep=5, aggregation_layer=1)),
        batch_of(SHAPE, [*order]),
    )
    together = model.prefill(model.place(**vars(given)), 1).logits
    alone = [model.prefill(model.place(**vars(given.one(row))), 1).logits for row in range(3)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("config", every_config(), ids=str)
def test_a_model_remembers_nothing_of_an_earlier_batch(llava: Any, config: HybridConfig) -> None:
    """Of the same shape: other prompts, lengths, padded rows and images."""
    first = batch_of(SHAPE, [(12, 3), (2, 2), (7, 8)])
    given = batch_of(SHAPE, [(1, 1), (5, 10), (4, 6)])
    used, fresh = hybridize(llava, config), hybridize(llava, config)
    used.generate(
        **vars(Batch(first.input_ids, -first.pixel_values, first.attention_mask)), max_new_tokens=3
    )
    ours, theirs = (m.prefill(m.place(**vars(given)), 2) for m in (used, fresh))
    torch.testing.assert_close(ours.logits, theirs.logits, rtol=1e-4, atol=1e-4)
    assert not ours.finished.any() and not ours.step.any() and not ours.ids.any()
