"""What of graph replay can be shown without a GPU: buckets, padding to them, and refusals."""

from typing import Any

import pytest
import torch

from hybrid import ConfigError, HybridConfig, hybridize
from hybrid.graphs import GraphedLlava, bucket_of, left_padded
from tests.llavas import batch, random_llava


@pytest.fixture(scope="module")
def llava() -> Any:
    return random_llava()


def test_a_prompt_goes_into_the_smallest_bucket_that_holds_it() -> None:
    assert [bucket_of(n, (768, 640)) for n in (1, 640, 641, 768)] == [640, 640, 768, 768]


def test_a_prompt_longer_than_every_bucket_names_the_limit_and_how_to_raise_it() -> None:
    with pytest.raises(ConfigError, match=r"769 tokens .* bucket 768: .*buckets=.* at least 769"):
        bucket_of(769, (640, 768))


@pytest.mark.parametrize("keep", ["5", "0.5", "none"])
@pytest.mark.parametrize("thresholds", [None, (0.6, 0.5, 0.4, 1.0)])
def test_padding_to_a_bucket_changes_no_logits(
    llava: Any, keep: str, thresholds: tuple[float, ...] | None
) -> None:
    config = HybridConfig(keep=keep, aggregation_layer=1, thresholds=thresholds)
    model, given = hybridize(llava, config), batch(4)
    inputs = model.place(given.input_ids, given.pixel_values, given.attention_mask)
    plain = model.prefill(inputs, 1).logits
    padded = model.prefill(left_padded(inputs, 64), 1).logits
    torch.testing.assert_close(padded, plain, rtol=1e-4, atol=1e-4)


def test_graphs_are_refused_without_a_cuda_device(llava: Any) -> None:
    with pytest.raises(ConfigError, match="captured on a CUDA device, not on cpu"):
        GraphedLlava(llava, HybridConfig())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="graph capture needs a CUDA device")
@pytest.mark.parametrize("size", [1, 4])
def test_replay_equals_eager(size: int) -> None:
    llava: Any = random_llava().to("cuda")
    config = HybridConfig(keep=5, aggregation_layer=1, thresholds=(0.6, 0.5, 0.4, 1.0))
    given = vars(batch(size))
    eager = hybridize(llava, config).generate(**given, max_new_tokens=12)
    graphed = GraphedLlava(llava, config, buckets=(64,))
    for _ in range(2):  # the first call captures, the second only replays
        assert graphed.generate(**given, max_new_tokens=12).tolist() == eager.tolist()
