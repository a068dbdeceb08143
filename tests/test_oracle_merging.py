"""DToMe against the oracle: one step, many steps, the whole tower; in float32 and in bfloat16.

A merge must be the oracle's wherever no cosine lies within rounding of another decision. How far
rounding reaches is measured by running the oracle itself in the dtype in question; images with a
decision closer than that are counted, and must be rare.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import CLIPVisionConfig, LlavaForConditionalGeneration

from hybrid import HybridConfig
from hybrid.merging import Tokens, VisualTokens, merge
from hybrid.methods import stages_of
from hybrid.reference import Oracle, Seen, Token, merge_step
from hybrid.vision import VisionTower
from tests.llavas import random_llava

WIDTH, METRIC = 8, 16
IMAGES = 24


def lists(tokens: Tokens, row: int) -> list[Token]:
    """The oracle's view of one row."""
    owner = tokens.owner[row].tolist()
    count = int((tokens.size[row] > 0).sum())
    return [
        Token(tokens.features[row, i].double(), tuple(p for p, o in enumerate(owner) if o == i))
        for i in range(count)
    ]


def cosine_error(metric: Tensor) -> float:
    """What float32, in which the fast path matches, makes of a cosine: at most, for this metric."""
    exact = torch.nn.functional.normalize(metric.double(), dim=-1)
    rounded = (metric.float() / metric.float().norm(dim=-1, keepdim=True)).double()
    return float((rounded @ rounded.T - exact @ exact.T).abs().max()) + METRIC * 2.0**-24


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("threshold", [-1.0, 0.2, 0.5, 1.0])
@pytest.mark.parametrize("patches", [2, 3, 16, 37])
def test_each_of_several_steps_is_the_oracles(
    patches: int, threshold: float, dtype: torch.dtype
) -> None:
    generator = torch.Generator().manual_seed(patches)
    features = torch.randn(8, 1 + patches, WIDTH, generator=generator).to(dtype)
    tokens = Tokens.unmerged(features)
    decided, near_ties = 0, 0
    for _ in range(4):
        slots = tokens.size.shape[1]
        metric = torch.randn(8, slots, METRIC, generator=generator).to(dtype)
        after = merge(tokens, metric, threshold)
        for row in range(len(features)):
            before = lists(tokens, row)
            own = metric[row, : len(before)]
            step = merge_step(before, own.double(), threshold)
            decided += 1
            if step.margin <= 2 * cosine_error(own):
                near_ties += 1
                continue
            now = lists(after, row)
            assert [t.patches for t in now] == [t.patches for t in step.tokens]
            assert after.size[row].tolist()[: len(now)] == [t.size for t in step.tokens]
            # Sums in float32 of at most `patches` terms, then one rounding to the dtype.
            exact = torch.stack([t.feature for t in step.tokens])
            largest = float(features[row].abs().max())
            allowed = torch.finfo(dtype).eps / 2 * exact.abs() + patches * 2.0**-23 * largest
            assert (torch.stack([t.feature for t in now]) - exact).abs().le(allowed).all()
        tokens = after
    assert near_ties <= decided // 50, f"{near_ties} near-ties in {decided} steps"


@pytest.mark.parametrize("capacity", [2, 9, 20, 37])
def test_a_step_with_a_capacity_merges_the_most_similar_pairs_as_the_oracle_does(
    capacity: int,
) -> None:
    generator = torch.Generator().manual_seed(capacity)
    tokens = Tokens.unmerged(torch.randn(16, 37, WIDTH, generator=generator))
    metric = torch.randn(16, 37, METRIC, generator=generator)
    for threshold in (float("inf"), 0.4):
        after = merge(tokens, metric, threshold, capacity)
        for row in range(16):
            step = merge_step(lists(tokens, row), metric[row].double(), threshold, capacity)
            assert step.margin > 2 * cosine_error(metric[row])
            assert [t.patches for t in lists(after, row)] == [t.patches for t in step.tokens]


def images(size: int) -> Tensor:
    """Uniform, checkerboard, gradient, blocks, and noise of growing contrast: [IMAGES, 3, ...]."""
    down, right = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    plain = torch.zeros(size, size)
    checkers = ((down // 14 + right // 14) % 2).float()
    gradient = (down + right) / (2.0 * size)
    blocks = ((down // 42) * 3 + right // 42) / 8.0
    shown = [plain, plain + 1, checkers, gradient, blocks]
    generator = torch.Generator().manual_seed(size)
    noise = torch.randn(IMAGES - len(shown), 3, size, size, generator=generator)
    noise *= torch.linspace(0.1, 2.0, len(noise))[:, None, None, None]
    made = torch.cat([torch.stack([s.expand(3, size, size) for s in shown]), noise])
    return made.to(torch.bfloat16).float()  # the same image for every dtype


@dataclass(frozen=True)
class Merge:
    """One call of the fast path's `merge`, as the tower made it."""

    before: Tokens
    metric: Tensor
    threshold: float
    capacity: int | None
    after: Tokens

    def patches(self, row: int) -> list[tuple[int, ...]]:
        """Which patches each token holds afterwards, in the order of the tokens."""
        return [t.patches for t in lists(self.after, row)]


def watched(
    tower: VisionTower, pixels: Tensor, monkeypatch: pytest.MonkeyPatch
) -> tuple[VisualTokens, list[Merge]]:
    """What the tower hands on, and every merge on the way."""
    merges: list[Merge] = []

    def watch(
        tokens: Tokens, metric: Tensor, threshold: float, capacity: int | None = None
    ) -> Tokens:
        after = merge(tokens, metric, threshold, capacity)
        merges.append(Merge(tokens, metric, threshold, capacity, after))
        return after

    with monkeypatch.context() as patched, torch.inference_mode():
        patched.setattr("hybrid.methods.dtome.merge", watch)
        return tower(pixels), merges


def same(visual: VisualTokens, row: int, seen: Seen) -> bool:
    """Whether owner, representative, size and validity are the oracle's."""
    valid, tokens = visual.valid[row], seen.tokens
    slot = {p: i for i, t in enumerate(tokens) for p in t.patches}
    return (
        visual.owner[row].tolist() == [slot[p] for p in range(len(slot))]
        and visual.position[row][valid].tolist() == [t.patches[0] for t in tokens]
        and visual.size[row].tolist()[: len(tokens)] == [t.size for t in tokens]
        and valid.tolist() == [i < len(tokens) for i in range(len(valid))]
    )


def rounding(exact: Sequence[Seen], rounded: Sequence[Seen]) -> tuple[float, float]:
    """How far cosines and features of one run are from the other's, while they decide alike."""
    cosine, feature = 0.0, 0.0
    for true, near in zip(exact, rounded, strict=True):
        for step, other in zip(true.steps, near.steps, strict=False):
            if step.pairs != other.pairs:
                break
            errors = [abs(a - b) for a, b in zip(step.best, other.best, strict=True)]
            cosine = max([cosine, *errors])
        else:
            feature = max(feature, distance(near.tokens, true))
    return cosine, feature


def nearest_to_a_threshold(true: Seen, config: HybridConfig) -> float:
    """How far the nearest cosine is off: a pair that merges anyway is forced on one side of it."""
    steps = zip(true.steps, config.thresholds or (), strict=False)
    return min(abs(best - threshold) for step, threshold in steps for best in step.best)


def distance(tokens: Sequence[Token], true: Seen) -> float:
    pairs = zip(tokens, true.tokens, strict=True)
    return max(float((a.feature.double() - b.feature).abs().max()) for a, b in pairs)


def check_tower(
    llava: LlavaForConditionalGeneration,
    config: HybridConfig,
    pixels: Tensor,
    dtype: torch.dtype,
    monkeypatch: pytest.MonkeyPatch,
) -> int:
    """Assert that the tower does as the oracle; returns how many near-ties went the other way."""
    source: Any = deepcopy(llava)
    source = source.to(dtype)
    reference, rough = Oracle(source, config), Oracle(source, config, dtype)
    exact = [reference.see(image) for image in pixels]
    cosine, feature = rounding(exact, [rough.see(image) for image in pixels])
    tower = VisionTower(source.model.vision_tower, -2, stages_of(config).tower)
    runs = [(range(len(pixels)), watched(tower, pixels.to(dtype), monkeypatch))]
    for row, image in enumerate(pixels):
        runs.append((range(row, row + 1), watched(tower, image[None].to(dtype), monkeypatch)))
    near_ties = 0
    for rows, (visual, merges) in runs:
        for i, row in enumerate(rows):
            true = exact[row]
            steps = zip(merges, true.steps, strict=False)
            if all(m.patches(i) == [t.patches for t in s.tokens] for m, s in steps):
                assert same(visual, i, true)
                got = [Token(f, ()) for f in visual.features[i, : len(true.tokens)]]
                assert distance(got, true) <= 2 * feature
                if visual.forced is not None and int(visual.forced[i]) != true.forced:
                    assert nearest_to_a_threshold(true, config) <= 2 * cosine
                    near_ties += 1
            else:
                margin = min(step.margin for step in true.steps)
                assert margin <= 2 * cosine, f"image {row} merged otherwise"
                near_ties += 1
    return near_ties


NOTHING, SOME, ALMOST_ALL = (1.0,) * 4, (0.6, 0.5, 0.4, 1.0), (-1.0, -1.0, -1.0, 1.0)
CONFIGS = pytest.mark.parametrize(
    "config",
    [
        HybridConfig(thresholds=NOTHING),
        HybridConfig(thresholds=(0.95, 0.9, 0.9, 1.0)),
        HybridConfig(thresholds=SOME),
        HybridConfig(thresholds=ALMOST_ALL),
        HybridConfig(thresholds=NOTHING, capacity=1),
        HybridConfig(thresholds=NOTHING, capacity=30),
        HybridConfig(thresholds=SOME, capacity=5),
        HybridConfig(thresholds=NOTHING, schedule=(30, 21, 12, 12)),
        HybridConfig(thresholds=SOME, schedule=(18, 9, 5, 5), capacity=3),
    ],
    ids=lambda c: f"{c.thresholds[0]}-{c.capacity}-{c.schedule and c.schedule[0]}",
)


@CONFIGS
def test_the_tower_merges_in_float32_what_the_oracle_merges(
    config: HybridConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    llava = random_llava()
    near_ties = check_tower(llava, config, images(84), torch.float32, monkeypatch)
    assert near_ties <= 2 * IMAGES // 20, "near-ties are rare"


@CONFIGS
def test_the_tower_merges_in_bfloat16_what_the_oracle_merges(
    config: HybridConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cosine is good to two digits here, so many images have a near-tie somewhere."""
    llava = random_llava()
    near_ties = check_tower(llava, config, images(84), torch.bfloat16, monkeypatch)
    assert near_ties <= 2 * IMAGES * 3 // 4, "enough images are left to compare"


@CONFIGS
def test_each_merge_in_a_bfloat16_tower_is_what_the_oracle_makes_of_the_same_keys(
    config: HybridConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    source: Any = random_llava().to(torch.bfloat16)
    tower = VisionTower(source.model.vision_tower, -2, stages_of(config).tower)
    _, merges = watched(tower, images(84).bfloat16(), monkeypatch)
    near_ties = 0
    for m in merges:
        for row in range(IMAGES):
            before = lists(m.before, row)
            keys = m.metric[row, : len(before)]
            if m.capacity is not None and m.threshold > 1 and len(before) <= m.capacity:
                continue  # it fits: this call has nothing to do for this image
            step = merge_step(before, keys.double(), m.threshold, m.capacity)
            if m.patches(row) != [t.patches for t in step.tokens]:
                assert step.margin <= 2 * cosine_error(keys)
                near_ties += 1
    assert near_ties <= len(merges) * IMAGES // 50, "matching is in float32: near-ties are rare"


def test_the_tower_merges_577_tokens_as_the_oracle_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """LLaVA-1.5's own grid: 24 x 24 patches."""
    torch.manual_seed(0)
    small = random_llava().config
    small.vision_config = CLIPVisionConfig(
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=4,
        num_attention_heads=4,
        image_size=336,
        patch_size=14,
    )
    llava = LlavaForConditionalGeneration(small)
    for weight in llava.model.vision_tower.parameters():
        if weight.ndim > 1:
            torch.nn.init.normal_(weight, std=0.2)
    config = HybridConfig(thresholds=(0.8, 0.7, 0.6, 1.0), capacity=72)
    assert check_tower(llava, config, images(336)[::6], torch.float32, monkeypatch) <= 2
