"""What each kernel of the reduction takes: pytest-benchmark's own timings, to compare over time.

The default test session runs a few rounds, so that these keep working; `nox -s kernels`, which
`nox -s latency` ends with, runs them for a second each and writes the JSON that
`pytest-benchmark compare` reads. Nothing is asserted on seconds: a machine's own history is for
looking at, the latency gate judges.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.arms.models import load_checkpoint
from bench.arms.profiles import load_profile
from bench.arms.untrained import PATCH
from hybrid import HybridConfig, HybridLlava
from hybrid.inputs import Inputs
from hybrid.merging import Tokens, merge
from hybrid.pruning import Kept, keep_counts, keep_top, kept_index, last_row_scores
from hybrid.rope import layout, spots_of
from hybrid.state import State

THREADS = 2
TEXT_BEFORE, TEXT_AFTER = 35, 29
NEW_TOKENS = 8


@dataclass(frozen=True, kw_only=True)
class Size:
    """Token counts and widths that a kernel works on."""

    patches: int
    vision_width: int
    text_width: int
    heads: int
    keep: int

    @property
    def length(self) -> int:
        """Tokens of the prompt, unreduced."""
        return TEXT_BEFORE + self.patches + TEXT_AFTER


SIZES = {
    "tiny": Size(patches=144, vision_width=96, text_width=128, heads=4, keep=18),
    "7b": Size(patches=576, vision_width=1024, text_width=4096, heads=32, keep=36),
}


@pytest.fixture(params=list(SIZES.values()), ids=list(SIZES))
def size(request: pytest.FixtureRequest) -> Size:
    chosen: Size = request.param
    return chosen


@pytest.fixture(autouse=True)
def _two_threads_and_no_gradients() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    with torch.inference_mode():
        yield
    torch.set_num_threads(before)


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def is_image(size: Size) -> Tensor:
    """[1, S], where the placeholders stand."""
    index = torch.arange(size.length)[None]
    return (index >= TEXT_BEFORE) & (index < TEXT_BEFORE + size.patches)


def pruned(size: Size, scores: Tensor, counts: Tensor, first: Tensor) -> tuple[Kept, Tensor]:
    kept = keep_top(scores, torch.ones_like(scores, dtype=torch.bool), counts, size.keep)
    place = first[:, None] + torch.arange(size.patches)
    return kept, kept_index(kept, place, size.length).source


@pytest.mark.benchmark(group="merge step")
def test_merge_step(benchmark: Any, size: Size) -> None:
    tokens = Tokens.unmerged(random(1, 1 + size.patches, size.vision_width))
    metric = random(1, 1 + size.patches, size.vision_width // 16)
    merged = benchmark(merge, tokens, metric, 0.3)
    assert 0 < int((merged.size > 0).sum()) < 1 + size.patches


@pytest.mark.benchmark(group="mapping")
def test_mapping(benchmark: Any, size: Size) -> None:
    position = torch.arange(0, size.patches, 2)[None]
    places = benchmark(layout, spots_of(is_image(size), size.patches), position)
    assert places.source.shape == (1, size.length - size.patches // 2)


@pytest.mark.benchmark(group="one-row score")
def test_one_row_score(benchmark: Any, size: Size) -> None:
    width = size.text_width // size.heads
    query, key = random(1, size.heads, 1, width), random(1, size.heads, size.length, width)
    valid = torch.ones(1, size.length, dtype=torch.bool)
    row = benchmark(last_row_scores, query, key, valid, width**-0.5)
    assert float(row.sum()) == pytest.approx(1.0, abs=1e-4)


@pytest.mark.benchmark(group="top-k")
def test_top_k(benchmark: Any, size: Size) -> None:
    config = HybridConfig(keep=size.keep)
    counts = torch.tensor(keep_counts(config.budget, size.patches))
    first = torch.tensor([TEXT_BEFORE])
    kept, index = benchmark(pruned, size, random(1, size.patches), counts, first)
    assert bool(kept.valid.all())
    assert index.shape == (1, size.length - size.patches + size.keep)


@pytest.mark.benchmark(group="gather")
def test_gather(benchmark: Any, size: Size) -> None:
    hidden = random(1, size.length, size.text_width)
    counts = torch.tensor(keep_counts(HybridConfig(keep=size.keep).budget, size.patches))
    _, index = pruned(size, random(1, size.patches), counts, torch.tensor([TEXT_BEFORE]))
    rows = index[..., None].expand(-1, -1, size.text_width)
    kept = benchmark(hidden.gather, 1, rows)
    assert torch.equal(kept[0, 0], hidden[0, 0])


@pytest.fixture(scope="module")
def hybrid() -> HybridLlava:
    """The tiny profile's model, as `python -m bench latency` times it."""
    profile = load_profile("tiny")
    reduction = profile.reduction
    config = HybridConfig(
        keep=reduction.keep,
        aggregation_layer=reduction.aggregation_layer,
        thresholds=reduction.thresholds,
        capacity=reduction.capacity,
    )
    return HybridLlava(load_checkpoint(profile).llava, config)


@pytest.fixture(scope="module")
def inputs(hybrid: HybridLlava) -> Inputs:
    tiny = SIZES["tiny"]
    ids = torch.full((1, tiny.length), 5).masked_fill(is_image(tiny), hybrid.image_token_id)
    side = PATCH * int(tiny.patches**0.5)
    return hybrid.place(ids, random(1, 3, side, side))


@pytest.mark.benchmark(group="prefill")
def test_prefill(benchmark: Any, hybrid: HybridLlava, inputs: Inputs) -> None:
    state = benchmark(hybrid.prefill, inputs, NEW_TOKENS)
    assert bool(state.logits.isfinite().all())


@pytest.mark.benchmark(group="decode step")
def test_decode_step(benchmark: Any, hybrid: HybridLlava, inputs: Inputs) -> None:
    state: State = hybrid.prefill(inputs, NEW_TOKENS)

    def step() -> None:
        state.step.zero_()  # the same step again and again: the cache has room for a few only
        hybrid.select(state)
        hybrid.decode(state)

    benchmark(step)
    assert int(state.step) == 1
