"""Calibration against a plain reading of DyMU's script, over the whole of its range.

What the script does at the ends and the paper does not say:

- Merges are whole numbers. What a division by the blocks leaves over, the first blocks take.
- A block that is to merge nothing keeps the 1 that it began with.
- Where all pairs of a batch merge, the first similarity behind them is minus infinity: 0 is noted.

Where the reading departs from the script, for reasons of its own, and calibration with it:

- An image of which a block merges nothing keeps its order, as it does where thresholds are used.
- Where more merges are asked than there are pairs, the script goes on with CLS and padding, in no
  order that it lays down. Here these never merge.
- The script takes a mean of exactly 1 for the one it began with, so first batches of threshold 1
  are not counted. That hangs on a last bit; here each batch counts.
- The script counts a short last batch as a whole one. There is none here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, log
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from bench.arms.profiles import load_profile
from hybrid.calibrate.thresholds import calibrate
from hybrid.calibrate.towers import TowerSource, find_images

PATCHES, BLOCKS, IMAGES = 144, 4, 6


@dataclass
class Seen:
    """An image between two blocks: features [n, D], CLS first, and how many patches each one is."""

    features: Tensor
    sizes: list[int]


def attended(
    block: Any, image: Seen, logarithms: torch.dtype
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Attention with its residual, in place; the keys' mean over heads [n, C], of length 1."""
    attention, normed = block.self_attn, block.layer_norm1(image.features)
    query, key, value = (
        project(normed).unflatten(-1, (attention.num_heads, -1)).transpose(0, 1)  # [H, n, C]
        for project in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    scores = query @ key.transpose(1, 2) * attention.scale
    scores += torch.tensor([log(size) for size in image.sizes], dtype=logarithms)
    mixed = (scores.softmax(dim=-1) @ value).transpose(0, 1).flatten(1)
    image.features = image.features + attention.out_proj(mixed)
    metric = key.mean(dim=0).numpy()
    return np.asarray(metric / np.linalg.norm(metric, axis=1, keepdims=True))


def merged(image: Seen, pairs: dict[int, int]) -> Seen:
    """Each even place of `pairs` goes into its odd one; the even ones left, then all odd ones."""
    if not pairs:
        return image
    members = {place: [place] for place in range(len(image.sizes)) if place not in pairs}
    for even, odd in pairs.items():
        members[odd].append(even)
    order = sorted(members, key=lambda place: (place % 2, place))
    features, sizes = [], []
    for place in order:
        weights = [image.sizes[member] for member in members[place]]
        weighted = torch.tensor(weights).double() @ image.features[members[place]]
        features.append(weighted / sum(weights))
        sizes.append(sum(weights))
    return Seen(torch.stack(features), sizes)


@torch.inference_mode()
def batch_thresholds(
    tower: Any, pixels: Tensor, target: int, logarithms: torch.dtype
) -> tuple[list[float], float]:
    """DyMU's thresholds of one batch [B, 3, H, W], and how near a decision was to another one.

    All is float64 but the `logarithms` of the sizes, if they are to be what they are in the model.
    """
    blocks = tower.encoder.layers
    merges = [(PATCHES - target) // len(blocks)] * len(blocks)
    for block in range((PATCHES - target) % len(blocks)):
        merges[block] += 1
    images = []
    for picture in pixels:
        features = tower.pre_layrnorm(tower.embeddings(picture[None]))[0]
        images.append(Seen(features, [1] * len(features)))

    thresholds, margin = [], inf
    for block, each in zip(blocks, merges, strict=True):
        edges = []  # (similarity, image, even place, odd place) of each token that can merge
        for number, image in enumerate(images):
            metric = attended(block, image, logarithms)
            cosine = metric[2::2] @ metric[1::2].T  # CLS, at place 0, is left alone
            for even, row in enumerate(cosine, start=1):
                best = int(row.argmax())
                edges.append((float(row[best]), number, 2 * even, 2 * best + 1))
            second, first = np.partition(cosine, -2, axis=1)[:, -2:].T
            margin = min(margin, float((first - second).min()))
        edges.sort(reverse=True)
        longest = max(len(image.sizes) for image in images)
        count = min(each, (longest - 1) // 2) * len(images)
        similarities = [edge[0] for edge in edges] + [-inf] * (count + 1)
        thresholds.append(max(0.0, similarities[count]) if each else 1.0)
        if 0 < count < len(edges):
            margin = min(margin, similarities[count - 1] - similarities[count])
        for number, image in enumerate(images):
            left = merged(image, {e: o for _, i, e, o in edges[:count] if i == number})
            left.features = left.features + block.mlp(block.layer_norm2(left.features))
            images[number] = left
    return thresholds, margin


def over_batches(thresholds: Sequence[Sequence[float]]) -> list[float]:
    """The running mean: the first batch takes the place of the 1 that each block begins with."""
    mean = list(thresholds[0])
    for count, batch in enumerate(thresholds[1:], start=1):
        mean = [(m * count + t) / (count + 1) for m, t in zip(mean, batch, strict=True)]
    return mean


@pytest.fixture(scope="module")
def source() -> TowerSource:
    """The embedded model's tower: 144 patches, 4 blocks."""
    return TowerSource.load(load_profile("tiny").model.checkpoint, torch.float64, "cpu")


@pytest.fixture(scope="module")
def pictures(source: TowerSource, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """From nearly plain to busy, so that images merge unlike many of their tokens."""
    folder = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(0)
    for number in range(IMAGES):
        contrast = 8 * (number % 4) ** 2 + 4
        cells = generator.integers(128 - contrast, 128 + contrast, (14, 14, 3), dtype=np.uint8)
        size = (source.side, source.side)
        image = Image.fromarray(cells).resize(size, Image.Resampling.BICUBIC)
        image.save(folder / f"{number}.png")
    return find_images(folder)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("target", [143, 142, 138, 72, 40, 30, 29])
def test_thresholds_are_dymus_from_hardly_a_merge_to_hardly_a_token_left(
    source: TowerSource, pictures: list[Path], tmp_path: Path, target: int, batch: int
) -> None:
    """As far off as twice what float32 makes of the sizes' logarithms, and float64 of the rest."""

    def reading(logarithms: torch.dtype) -> list[float]:
        read = [
            batch_thresholds(source.tower, source.pixels(some), target, logarithms)
            for some in (pictures[i : i + batch] for i in range(0, IMAGES, batch))
        ]
        assert min(margin for _, margin in read) > 1e-7, "a decision that hangs on rounding"
        return over_batches([thresholds for thresholds, _ in read])

    exact, rounded = reading(torch.float64), reading(torch.float32)
    explained = max(abs(a - b) for a, b in zip(exact, rounded, strict=True))
    assert explained < 1e-9
    ours = calibrate(source, pictures, target, batch, tmp_path / "state")
    assert ours == pytest.approx(exact, rel=0, abs=2 * explained + 1e-13)


@pytest.mark.parametrize("target", [143, 142, 141])
def test_a_block_that_is_to_merge_nothing_merges_nothing(
    source: TowerSource, pictures: list[Path], tmp_path: Path, target: int
) -> None:
    thresholds = calibrate(source, pictures, target, 3, tmp_path / "state")
    merging = PATCHES - target
    assert max(thresholds[:merging]) < 1.0
    assert thresholds[merging:] == [1.0] * (BLOCKS - merging)


def test_where_the_last_pair_merges_the_threshold_is_zero(
    source: TowerSource, pictures: list[Path], tmp_path: Path
) -> None:
    """Behind three blocks that merge 29 each, 57 patches are left: 28 pairs, and 28 are asked."""
    assert calibrate(source, pictures[:3], 29, 1, tmp_path / "state")[-1] == 0.0
