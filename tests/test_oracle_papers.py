"""The oracle against what it must equal: transformers, the papers' formulas, worked examples."""

from collections.abc import Sequence
from math import inf, log
from typing import Any

import pytest
import torch
from torch import Tensor

from hybrid import HybridConfig, Keep
from hybrid.merging import Tokens, merge
from hybrid.reference import Oracle, Token, keep_best, merge_step, rotate, softmax_attention
from tests.llavas import PATCHES, batch, random_llava


@pytest.mark.parametrize("groups", [4, 2])
@pytest.mark.parametrize(
    "config", [HybridConfig(), HybridConfig(thresholds=(1.0,) * 4, rope="virtual")], ids=str
)
def test_without_reduction_the_oracle_is_transformers_own_model(
    config: HybridConfig, groups: int
) -> None:
    llava, given = random_llava(groups=groups), batch(4)
    exact, rounded = Oracle(llava, config), Oracle(llava, config, torch.float32)
    theirs, ours, band = [], [], []
    for row in range(len(given)):
        alone = given.one(row)
        with torch.inference_mode():
            logits = llava(input_ids=alone.input_ids, pixel_values=alone.pixel_values).logits
        ids, pixels = alone.input_ids[0].tolist(), alone.pixel_values[0]
        theirs.append(logits[0, -1].double())
        ours.append(exact.next_logits(exact.read(ids, pixels)))
        band.append(rounded.next_logits(rounded.read(ids, pixels)).double())
    error = (torch.stack(theirs) - torch.stack(ours)).abs().max()
    assert error <= 2 * (torch.stack(band) - torch.stack(ours)).abs().max()


def test_answers_without_reduction_are_transformers_own() -> None:
    given = batch(4)
    llava: Any = random_llava()
    reference = Oracle(llava, HybridConfig())
    for row in range(len(given)):
        alone = given.one(row)
        theirs = llava.generate(
            input_ids=alone.input_ids,
            pixel_values=alone.pixel_values,
            attention_mask=alone.attention_mask,
            max_new_tokens=6,
            do_sample=False,
        )
        ours = reference.generate(alone.input_ids[0].tolist(), alone.pixel_values[0], 6)
        assert theirs[0, alone.input_ids.shape[1] :].tolist() == ours


def test_expanding_and_rotating_is_dymus_exact_formula() -> None:
    """Products of unmerged tokens, turned by the distance of positions (DyMU, equation 8).

    A[i, j] = sum_d (q1 k1 + q2 k2) cos((i - j) t_d) + (q2 k1 - q1 k2) sin((j - i) t_d)
    """
    torch.manual_seed(0)
    width, theta = 8, 10_000.0
    query, key = torch.randn(2, 1, 5, width, dtype=torch.float64)
    owner = [0, 1, 1, 2, 0, 3, 4, 1, 2]  # nine positions, five tokens
    positions = list(range(len(owner)))
    q, k = (rotate(x[:, owner], positions, theta)[0] for x in (query, key))
    half = width // 2
    for i, a in enumerate(owner):
        for j, b in enumerate(owner):
            total = 0.0
            for d in range(half):
                turn = theta ** (-d / half)
                q1, q2 = float(query[0, a, d]), float(query[0, a, d + half])
                k1, k2 = float(key[0, b, d]), float(key[0, b, d + half])
                distance = torch.tensor((i - j) * turn, dtype=torch.float64)
                total += (q1 * k1 + q2 * k2) * float(distance.cos())
                total += (q2 * k1 - q1 * k2) * float((-distance).sin())
            assert abs(float(q[i] @ k[j]) - total) <= 1e-13 * width  # a few roundings of float64


def test_virtual_attention_is_that_of_copies_averaged() -> None:
    reference = Oracle(random_llava(groups=2), HybridConfig())
    torch.manual_seed(0)
    hidden = torch.randn(4, 32, dtype=torch.float64)
    groups = [[0], [1, 3, 4], [2, 6], [5]]
    owner = [0, 1, 2, 1, 1, 3, 2]
    with torch.inference_mode():
        merged, weights = reference.attention(1, hidden, groups)
        copies, full = reference.attention(1, hidden[owner], [[p] for p in range(7)])
    assert torch.allclose(weights, full, rtol=0, atol=1e-14)
    for token, places in enumerate(groups):
        assert torch.allclose(merged[token], copies[places].mean(dim=0), rtol=0, atol=1e-12)


def test_a_merged_token_draws_the_attention_of_its_patches() -> None:
    """Proportional attention: log(3) on a key is the same key three times."""
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 2, 4, 8, dtype=torch.float64)
    bias = torch.tensor([0.0, log(3), 0.0, log(2)], dtype=torch.float64)
    merged, _ = softmax_attention(query, key, value, bias)
    copies = [0, 1, 1, 1, 2, 3, 3]
    plain, _ = softmax_attention(query, key[:, copies], value[:, copies], torch.zeros(1).double())
    assert torch.allclose(merged, plain, rtol=0, atol=1e-14)


def directions(*degrees: float) -> torch.Tensor:
    angle = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    return torch.stack([angle.cos(), angle.sin()], dim=1)


def unmerged(count: int) -> list[Token]:
    features = torch.arange(count, dtype=torch.float64)[:, None]
    return [Token(f, () if i == 0 else (i - 1,)) for i, f in enumerate(features)]


def test_a_merge_worked_by_hand() -> None:
    """Places: CLS and patches 0..5. Even places 2, 4, 6 look at odd places 1, 3, 5."""
    keys = directions(90, 0, 10, 90, 95, 200, 355)
    step = merge_step(unmerged(7), keys, threshold=0.99)
    assert step.pairs == [(4, 3), (6, 1)]  # cos 5 = 0.996 twice; cos 10 = 0.985 is too little
    patches = [t.patches for t in step.tokens]
    assert patches == [(), (1,), (0, 5), (2, 3), (4,)]  # CLS and patch 1 survive, then the odd ones
    assert [float(t.feature) for t in step.tokens] == [0.0, 2.0, 3.5, 3.5, 5.0]
    assert step.margin == pytest.approx(0.99 - 0.98481, abs=1e-5)


def test_several_tokens_may_merge_into_one_weighted_by_size() -> None:
    big = Token(torch.tensor([10.0]).double(), (7, 8, 9))
    tokens = [*unmerged(3)[:2], big, Token(torch.tensor([50.0]).double(), (3,)), unmerged(3)[2]]
    step = merge_step(tokens, directions(0, 40, 41, 180, 42), threshold=0.5)
    assert step.pairs == [(2, 1), (4, 1)]
    merged = step.tokens[1]
    assert merged.patches == (0, 1, 7, 8, 9)
    assert float(merged.feature) == pytest.approx((1 + 3 * 10 + 2) / 5)


def test_the_threshold_must_be_exceeded_and_cls_is_left_alone() -> None:
    same = directions(0, 0, 0, 0)
    assert merge_step(unmerged(4), same, threshold=1.0).pairs == []
    assert merge_step(unmerged(4), same, threshold=0.5).pairs == [(2, 1)]  # first among equals
    assert merge_step(unmerged(2), same[:2], threshold=-1.0).pairs == []


def one_image_as_dymu_reads_it(features: Tensor, thresholds: Sequence[float]) -> list[list[int]]:
    """DyMU's path for one image: features [n, C], CLS first -> each token's patches, in order."""
    groups: list[list[int]] = [[] if i == 0 else [i - 1] for i in range(len(features))]
    for threshold in thresholds:
        sizes = [max(1, len(group)) for group in groups]
        unit = features / features.norm(dim=1, keepdim=True)
        scores = unit[0::2] @ unit[1::2].T
        scores[0] = -inf
        best, partner = scores.max(dim=1)
        sources = [2 * i for i in range(len(best)) if best[i] > threshold]
        if not sources:
            continue  # it returns before it puts anything together anew
        total = features * torch.tensor(sizes).double()[:, None]
        for source in sources:
            into = 2 * int(partner[source // 2]) + 1
            total[into] += total[source]
            groups[into] = groups[into] + groups[source]
        left = [i for i in range(0, len(groups), 2) if i not in sources]
        order = [*left, *range(1, len(groups), 2)]
        groups = [groups[i] for i in order]
        sizes = [max(1, len(group)) for group in groups]
        features = total[order] / torch.tensor(sizes).double()[:, None]
    return groups


def test_groups_are_those_of_dymus_path_for_one_image_sample_by_sample() -> None:
    """24 images in one batch through four blocks, in each of which some have nothing to merge where
    others do. No similarity is closer to another one, or to a threshold, than 1e-9."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(24, 26, 3, generator=generator).double()
    thresholds = (0.9995, 0.999, 0.998, 0.99)
    expected = [one_image_as_dymu_reads_it(image, thresholds) for image in images]

    merged_nothing = set()
    for number, image in enumerate(images):
        tokens = [Token(image[0], ()), *(Token(x, (p,)) for p, x in enumerate(image[1:]))]
        for block, threshold in enumerate(thresholds):
            step = merge_step(tokens, torch.stack([t.feature for t in tokens]), threshold)
            assert step.margin > 1e-9
            merged_nothing.add((block, not step.pairs))
            tokens = step.tokens
        assert [sorted(t.patches) for t in tokens] == [sorted(g) for g in expected[number]]
    assert len(merged_nothing) == 2 * len(thresholds), "each block merges nothing in some images"

    batch = Tokens.unmerged(images)
    for threshold in thresholds:
        batch = merge(batch, batch.features, threshold)
    for row, groups in enumerate(expected):
        owners = batch.owner[row].tolist()
        assert owners == [next(i for i, g in enumerate(groups) if p in g) for p in range(25)]


def test_a_capacity_merges_only_as_many_as_it_must() -> None:
    keys = directions(0, 0, 30, 60, 70, 100, 140)
    for capacity, pairs in (
        (7, []),
        (6, [(4, 3)]),
        (5, [(2, 1), (4, 3)]),
        (3, [(2, 1), (4, 3), (6, 5)]),
    ):
        assert merge_step(unmerged(7), keys, float("inf"), capacity).pairs == pairs


@pytest.mark.parametrize(
    ("keep", "tokens", "count"),
    [
        ("0.7", 100, 30),
        ("0.8", 50, 10),
        ("0.9", 10, 1),
        ("0.99", 5, 1),
        ("36", 20, 20),
        ("3", 5, 3),
    ],
)
def test_a_share_is_what_goes_and_a_number_is_what_stays(
    keep: str, tokens: int, count: int
) -> None:
    assert len(keep_best([0.0] * tokens, Keep.parse(keep))) == count


def test_the_best_stay_in_their_order_and_ties_go_to_the_lower_place() -> None:
    assert keep_best([0.1, 0.4, 0.2, 0.4, 0.2], Keep.parse(3)) == [1, 2, 3]
    assert keep_best([0.1, 0.4, 0.2, 0.4, 0.2], Keep.parse(1)) == [1]


def test_positions_of_a_worked_prompt() -> None:
    """Three text tokens, an image whose patches 0, 1 | the rest are two tokens, two text tokens."""
    llava = random_llava()
    reference = Oracle(llava, HybridConfig())
    seen = reference.see(batch(1).pixel_values[0])
    two = [
        Token(seen.tokens[0].feature, (0, 1)),
        Token(seen.tokens[2].feature, tuple(range(2, PATCHES))),
    ]
    image = [llava.config.image_token_id] * PATCHES
    ids = [5, 6, 7, *image, 8, 9]
    expected = {
        "logical": ([[0], [1], [2], [3], [5], [39], [40]], 41),
        "compact": ([[0], [1], [2], [3], [4], [5], [6]], 7),
        "virtual": ([[0], [1], [2], [3, 4], list(range(5, 39)), [39], [40]], 41),
    }
    for rope, (groups, following) in expected.items():
        prompt = reference.lay_out(ids, type(seen)(two, []), rope)
        assert (prompt.groups, prompt.next_position) == (groups, following)
        assert prompt.visual == range(3, 5)
