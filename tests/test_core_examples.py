"""The pure tensor functions on examples worked by hand: one behaviour each, in milliseconds."""

from math import cos, exp, log, radians

import pytest
import torch

from hybrid.config import Keep
from hybrid.masks import additive, causal_mask, log_size_bias
from hybrid.merging import (
    Tokens,
    at_least_float32,
    bipartite_soft_matching,
    in_raster_order,
    merge,
)
from hybrid.pruning import (
    Kept,
    keep_counts,
    keep_top,
    kept_index,
    last_row_scores,
    random_scores,
    rank_scores,
)
from hybrid.rope import (
    Unmerging,
    consecutive_position_ids,
    layout,
    spots_of,
    unmerging,
)

INF = float("inf")


def row(*values: float) -> torch.Tensor:
    """One sample's numbers: [1, n]."""
    return torch.tensor([values])


def directions(*degrees: float) -> torch.Tensor:
    """Unit vectors in the plane, as one sample: [1, n, 2]."""
    angle = torch.tensor(degrees).deg2rad()
    return torch.stack([angle.cos(), angle.sin()], dim=1)[None]


def counted(slots: int, batch: int = 1) -> Tokens:
    """CLS and `slots` - 1 patches whose only feature is their own number: 0, 1, 2, ..."""
    return Tokens.unmerged(torch.arange(float(slots))[None, :, None].repeat(batch, 1, 1))


@pytest.mark.parametrize(
    ("dtype", "widened"),
    [
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
    ids=str,
)
def test_half_precision_is_widened_and_nothing_is_narrowed(
    dtype: torch.dtype, widened: torch.dtype
) -> None:
    assert at_least_float32(torch.ones(1, dtype=dtype)).dtype == widened


def test_unmerged_tokens_are_one_patch_each_behind_cls() -> None:
    tokens = Tokens.unmerged(torch.zeros(2, 4, 3, dtype=torch.bfloat16))
    assert tokens.owner.tolist() == [[1, 2, 3]] * 2
    assert tokens.size.tolist() == [[1.0] * 4] * 2
    assert tokens.size.dtype == torch.float32, "bfloat16 cannot count to 576"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_the_attention_bias_is_the_log_of_the_size_and_hides_padding(dtype: torch.dtype) -> None:
    features = torch.zeros(2, 3, 1, dtype=dtype)
    sizes = torch.tensor([[1.0, 4.0, 0.0], [1.0, 1.0, 2.0]])
    bias = Tokens(features, sizes, torch.zeros(2, 3, dtype=torch.long)).attention_bias()
    assert (bias.shape, bias.dtype) == ((2, 1, 1, 3), dtype)
    expected = torch.tensor([[0.0, log(4), -INF], [0.0, 0.0, log(2)]]).to(dtype)
    assert torch.equal(bias[:, 0, 0], expected)
    assert all(stride % 16 == 0 for stride in bias.stride()[:-1])


def test_an_even_token_finds_its_most_similar_odd_one() -> None:
    metric = directions(0, 10, 90, 100, 190, 0)
    metric = torch.cat([3 * metric, metric])  # how long a key is says nothing
    valid = torch.ones(2, 6, dtype=torch.bool)
    valid[1, 3] = False
    similarity, partner = bipartite_soft_matching(metric, valid)
    ten, eighty = (cos(radians(degrees)) for degrees in (10, 80))
    expected = torch.tensor([[-INF, ten, 0.0], [-INF, eighty, -ten]])
    assert partner[0, 1:].tolist() == [1, 1] and partner[1, 1:].tolist() == [0, 2]
    assert torch.allclose(similarity, expected, atol=1e-6)


def test_a_token_without_a_valid_partner_has_no_similarity() -> None:
    valid = torch.tensor([[True, False, True, False]])
    similarity, _ = bipartite_soft_matching(directions(0, 0, 0, 0), valid)
    assert similarity.tolist() == [[-INF, -INF]]
    similarity, _ = bipartite_soft_matching(directions(0, 0, 0, 0), ~valid)
    assert similarity.tolist() == [[-INF, -INF]]


def test_a_merge_worked_by_hand() -> None:
    """Slots: CLS and patches 0..5. Even slots 2, 4, 6 look at odd slots 1, 3, 5."""
    after = merge(counted(7), directions(90, 0, 10, 90, 95, 200, 355), 0.99)
    assert after.features[0, :, 0].tolist() == [0.0, 2.0, 3.5, 3.5, 5.0, 4.0, 6.0]
    assert after.size.tolist() == [[1.0, 1.0, 2.0, 2.0, 1.0, 0.0, 0.0]]
    assert after.owner.tolist() == [[2, 1, 3, 3, 4, 2]]


def test_a_second_merge_weighs_by_size_and_leaves_padding_behind() -> None:
    """Slots: CLS, patch 1, patches 0 and 5, patches 2 and 3, patch 4, padding twice."""
    first = merge(counted(7), directions(90, 0, 10, 90, 95, 200, 355), 0.99)
    after = merge(first, directions(0, 90, 0, 5, 180, 90, 5), 0.9)
    assert after.size.tolist() == [[1.0, 1.0, 1.0, 4.0, 0.0, 0.0, 0.0]]
    assert after.owner.tolist() == [[3, 2, 3, 3, 1, 3]]
    assert after.features[0, :4, 0].tolist() == [0.0, 5.0, 2.0, 3.5]


def test_a_threshold_must_be_exceeded() -> None:
    same = directions(0, 0, 0, 0)
    assert merge(counted(4), same, 1.0).size.tolist() == [[1.0] * 4]
    assert merge(counted(4), same, 0.99).size.tolist() == [[1.0, 2.0, 1.0, 0.0]]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_nothing_exceeds_a_threshold_of_one(dtype: torch.dtype) -> None:
    """Nor does the cosine of equal tokens, which is 1 up to rounding: in float32 often above it."""
    generator = torch.Generator().manual_seed(0)
    keys = torch.randn(200, 1, 64, generator=generator).to(dtype).expand(-1, 9, -1)
    assert (merge(counted(9, batch=200), keys, 1.0).size == 1).all()
    below = 1 - 2.0**-6
    assert (merge(counted(9, batch=200), keys, below).size == 0).sum(1).eq(4).all()


def test_a_sample_of_which_nothing_merges_keeps_its_order_whatever_its_neighbours_do() -> None:
    """DyMU's path for one image returns before it reorders. 0 to 4: CLS and four patches."""
    apart, alike = directions(0, 60, 120, 180, 240), directions(0, 60, 60, 180, 240)
    both = merge(counted(5, batch=2), torch.cat([apart, alike]), 0.9)
    assert both.owner[0].tolist() == [1, 2, 3, 4]
    assert both.owner[1].tolist() == [2, 2, 3, 1]  # 4 survives before 1, which took 2 in, and 3
    assert both.size.tolist() == [[1, 1, 1, 1, 1], [1, 1, 2, 1, 0]]
    again = merge(both, torch.cat([alike, apart]), 0.9)
    assert again.owner[0].tolist() == [2, 2, 3, 1]
    assert torch.equal(again.owner[1], both.owner[1])  # with padding behind


@pytest.mark.parametrize(
    ("capacity", "sizes"),
    [
        (7, [1, 1, 1, 1, 1, 1, 1]),
        (6, [1, 1, 1, 1, 2, 1, 0]),
        (5, [1, 1, 2, 2, 1, 0, 0]),
        (1, [1, 2, 2, 2, 0, 0, 0]),
    ],
)
def test_a_capacity_merges_the_most_similar_first_and_only_as_many_as_it_must(
    capacity: int, sizes: list[float]
) -> None:
    keys = directions(0, 0, 25, 60, 70, 100, 140)
    assert merge(counted(7), keys, INF, capacity).size.tolist() == [sizes]


def test_a_capacity_counts_each_samples_own_tokens_and_merges_no_padding() -> None:
    keys = directions(0, 0, 25, 60, 70, 100, 140)
    fits = merge(counted(7), keys, INF, 5)
    both = Tokens(
        torch.cat([fits.features, counted(7).features]),
        torch.cat([fits.size, counted(7).size]),
        torch.cat([fits.owner, counted(7).owner]),
    )
    after = merge(both, keys.expand(2, -1, -1), INF, 5)
    assert torch.equal(after.size[0], fits.size[0]), "nothing merged, so nothing moved"
    assert torch.equal(after.size[1], fits.size[0])
    assert torch.equal(after.owner[1], fits.owner[0])


def test_half_precision_means_are_taken_in_float32() -> None:
    """256 + 1 + 1 is 256 in bfloat16, whichever way it is added up."""
    features = torch.tensor([[[0.0], [256.0], [257.0], [0.0], [258.0]]])
    tokens = Tokens.unmerged(features.bfloat16())
    after = merge(tokens, directions(90, 0, 0, 180, 0), 0.9)
    exact = tokens.features.double()[0, [1, 2, 4], 0].mean()
    assert after.features.dtype == torch.bfloat16
    assert after.features[0, 1, 0] == exact.to(torch.bfloat16)


def test_a_merged_token_that_takes_nothing_more_in_keeps_its_features_bit_for_bit() -> None:
    """Slot 1 is the mean of seven: times 7, over 7, rounds some of its features off."""
    features = torch.linspace(1, 2, 300).expand(1, 4, -1) / 3
    owner = torch.tensor([[1] * 7 + [2, 3]])
    tokens = Tokens(features, torch.tensor([[1.0, 7.0, 1.0, 1.0]]), owner)
    assert not torch.equal(features * 7 / 7, features)
    after = merge(tokens, directions(0, 0, 180, 180), 1.0)
    assert torch.equal(after.features, features)


def test_float64_merges_in_float64() -> None:
    tokens = Tokens.unmerged(torch.tensor([[[0.0], [1.0], [1 + 2.0**-40]]], dtype=torch.float64))
    after = merge(tokens, directions(90, 0, 0).double(), 0.9)
    assert after.features[0, 1, 0].item() == 1 + 2.0**-41


def test_raster_order_fits_into_fewer_slots() -> None:
    """Patches 0 and 5 | 1 | 2 and 3 | 4, in the order of their lowest patch; CLS is gone."""
    tokens = merge(counted(7), directions(90, 0, 10, 90, 95, 200, 355), 0.99)
    visual = in_raster_order(tokens, 5)
    assert visual.position.tolist() == [[0, 1, 2, 4, 0]]
    assert visual.size.tolist() == [[2.0, 1.0, 2.0, 1.0, 0.0]]
    assert visual.valid.tolist() == [[True] * 4 + [False]]
    assert visual.owner.tolist() == [[0, 1, 2, 2, 3, 0]]
    assert visual.features[0, :4, 0].tolist() == [3.5, 2.0, 3.5, 5.0]
    assert visual.features.shape == (1, 5, 1)


PROMPT = torch.tensor([[0, 0, 1, 1, 1, 0, 0], [0, 1, 1, 1, 0, 0, 0]]).bool()


def test_a_layout_of_two_prompts() -> None:
    """Three patches become two slots, which stand for patches 0 and 2, and for 1 and 2."""
    places = layout(spots_of(PROMPT, 3), torch.tensor([[0, 2], [1, 2]]))
    assert places.first.tolist() == [2, 1]
    assert places.is_visual.int().tolist() == [[0, 0, 1, 1, 0, 0], [0, 1, 1, 0, 0, 0]]
    assert places.visual_slot.tolist() == [[0, 0, 0, 1, 0, 0], [0, 0, 1, 0, 0, 0]]
    assert places.source.tolist() == [[0, 1, 2, 4, 5, 6], [0, 2, 3, 4, 5, 6]]


def test_positions_number_what_is_valid() -> None:
    valid = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 0, 1, 1]]).bool()
    assert consecutive_position_ids(valid).tolist() == [[0, 0, 0, 1, 2], [0, 1, 1, 2, 3]]


def test_virtual_unmerging_of_two_prompts() -> None:
    """Patches 0 and 1 are slot 0 of the first prompt; 0 and 2 of the second."""
    owner = torch.tensor([[0, 0, 1], [0, 1, 0]])
    places = layout(spots_of(PROMPT, 3), torch.tensor([[0, 2], [0, 1]]))
    virtual = unmerging(places, PROMPT, owner, 2, torch.float32)
    assert virtual.token.tolist() == [[0, 1, 2, 2, 3, 4, 5], [0, 1, 2, 1, 3, 4, 5]]
    assert virtual.share[0, 2].tolist() == [0, 0, 0.5, 0.5, 0, 0, 0]
    assert virtual.share[1, 1].tolist() == [0, 0.5, 0, 0.5, 0, 0, 0]
    assert virtual.share.sum(dim=2).eq(1).all()


def test_expanding_copies_a_token_to_its_places_and_merging_takes_their_mean() -> None:
    token = torch.tensor([[0, 1, 1], [1, 0, 0]])
    share = torch.tensor([[[1.0, 0, 0], [0, 0.5, 0.5]], [[0, 0.5, 0.5], [1.0, 0, 0]]])
    virtual = Unmerging(token, share)
    heads = torch.arange(2 * 3 * 2 * 2.0).view(2, 3, 2, 2)  # [B, H, R, C]
    expanded = virtual.expand(heads)
    assert expanded.shape == (2, 3, 3, 2)
    assert torch.equal(expanded[0], heads[0][:, [0, 1, 1]])
    assert torch.equal(expanded[1], heads[1][:, [1, 0, 0]])
    assert torch.equal(virtual.merge(expanded), heads)


def test_virtual_means_are_taken_in_float32_and_handed_back_as_they_came() -> None:
    """Of 257 places one holds 1.0: in bfloat16 its share would be counted off."""
    places = 257
    virtual = Unmerging(torch.zeros(1, places).long(), torch.full((1, 1, places), 1 / places))
    heads = torch.full((1, 1, places, 1), 256.0).bfloat16()
    heads[0, 0, 0, 0] = 258.0
    mean = virtual.merge(heads)
    assert mean.dtype == torch.bfloat16
    assert mean.item() == 256.0


def test_virtual_means_of_float64_are_taken_in_float64() -> None:
    virtual = Unmerging(torch.zeros(1, 2).long(), torch.full((1, 1, 2), 0.5))
    heads = torch.tensor([1.0, 1 + 2.0**-40], dtype=torch.float64)[None, None, :, None]
    assert virtual.merge(heads).item() == 1 + 2.0**-41


def test_a_query_sees_what_is_valid_up_to_itself_and_padding_sees_itself() -> None:
    mask = causal_mask(torch.tensor([[0, 1, 1]]).bool())
    assert mask.shape == (1, 1, 3, 3)
    assert mask[0, 0].int().tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 1]]


@pytest.mark.parametrize("keys", [1, 15, 16, 17, 33])
def test_an_additive_mask_hides_what_is_not_allowed_and_its_rows_are_aligned(keys: int) -> None:
    allowed = torch.arange(2 * 3 * keys).view(2, 1, 3, keys) % 3 > 0
    mask = additive(allowed, torch.bfloat16)
    assert mask.shape == allowed.shape and mask.dtype == torch.bfloat16
    assert torch.equal(mask == 0, allowed) and torch.equal(mask == -INF, ~allowed)
    assert all(stride % 16 == 0 for stride in mask.stride()[:-1])
    beyond = mask.as_strided((6, mask.stride(-2) - keys), (mask.stride(-2), 1), keys)
    assert bool((beyond == -INF).all())


def test_a_ranking_row_is_the_mean_of_softmaxes_over_grouped_heads() -> None:
    """Two samples, two key heads with two query heads each; the first place is padding."""
    query = torch.arange(4.0).view(1, 4, 1, 1).expand(2, -1, -1, -1)
    keys = torch.tensor([[[9.0], [0.0], [1.0]], [[9.0], [1.0], [0.0]]])  # [G, R, C]
    key = torch.stack([keys, 2 * keys])
    valid = torch.tensor([[False, True, True]] * 2)
    rows = last_row_scores(query, key, valid, 0.5)
    for sample, factor in enumerate((1.0, 2.0)):
        gaps = [0.0, 0.5 * factor, -1.0 * factor, -1.5 * factor]  # how much more the last one gets
        last = sum(1 / (1 + exp(-gap)) for gap in gaps) / 4
        assert torch.allclose(rows[sample], row(0.0, 1 - last, last)[0])


def test_a_random_draw_is_a_32_bit_hash_of_patch_and_prompt() -> None:
    """The same in plain integers; the wide numbers do not fit 64 bits signed, so they are cut."""
    patches, seeds = [0, 5, 575], [7, 2**33 + 1]
    drawn = random_scores(torch.tensor([patches] * 2), torch.tensor(seeds))
    for i, seed in enumerate(seeds):
        for j, patch in enumerate(patches):
            mixed = ((patch + 1) * 0x9E3779B1 + seed * 0x85EBCA6B) % 2**32
            mixed = (mixed ^ (mixed >> 16)) * 0x7FEB352D % 2**32
            mixed = (mixed ^ (mixed >> 16)) * 0x846CA68B % 2**32
            mixed ^= mixed >> 15
            assert drawn[i, j] == torch.tensor(mixed).float()
    assert drawn.dtype == torch.float32


def test_ranks_are_the_attention_the_lowest_of_it_or_a_draw() -> None:
    scores, position, seed = row(0.3, 0.1), torch.tensor([[4, 9]]), torch.tensor([3])
    assert torch.equal(rank_scores(scores, position, seed, "attention"), scores)
    assert torch.equal(rank_scores(scores, position, seed, "lowest"), -scores)
    drawn = rank_scores(scores, position, seed, "random")
    assert torch.equal(drawn, random_scores(position, seed))


def test_every_number_of_tokens_has_its_count() -> None:
    assert keep_counts(Keep.parse("2"), 4) == [0, 1, 2, 2, 2]
    assert keep_counts(Keep.parse("0.5"), 4) == [0, 1, 1, 1, 2]
    assert keep_counts(Keep.parse("none"), 2) == [0, 1, 2]


def test_the_best_stay_in_order_ties_go_down_and_padding_never_stays() -> None:
    scores = torch.tensor([[0.1, 0.4, 0.2, 0.4, 0.9], [0.5, 0.4, 0.3, 0.2, 0.1]])
    valid = torch.tensor([[True, True, True, True, False], [True, False, False, False, False]])
    kept = keep_top(scores, valid, torch.tensor([0, 1, 1, 1, 2, 3]), 3)
    assert kept.slot.tolist() == [[1, 3, 0], [0, 0, 0]]
    assert kept.valid.tolist() == [[True, True, False], [True, False, False]]


def test_a_sequence_is_cut_to_the_kept_slots() -> None:
    """Three of six places are visual, two of those are kept, or one; then text follows."""
    kept = Kept(torch.tensor([[0, 2], [1, 0]]), torch.tensor([[True, True], [True, False]]))
    index, stays, place = kept_index(kept, torch.tensor([[1, 2, 3], [2, 3, 4]]), 6)
    assert place.tolist() == [[1, 2], [2, 3]]
    assert index.tolist() == [[0, 1, 3, 4, 5], [0, 1, 3, 2, 5]]
    assert stays.tolist() == [[True] * 5, [True, True, True, False, True]]


@pytest.mark.parametrize(
    ("dtype", "precise"),
    [
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
    ids=str,
)
def test_virtual_shares_are_as_precise_as_what_is_attended_to(
    dtype: torch.dtype, precise: torch.dtype
) -> None:
    """A third is another number in float64 than in float32."""
    is_image = torch.tensor([[True, True, True, False]])
    owner = torch.zeros(1, 3, dtype=torch.int64)
    places = layout(spots_of(is_image, 3), torch.tensor([[0]]))
    virtual = unmerging(places, is_image, owner, 1, dtype)
    assert virtual.share.dtype == precise
    assert torch.equal(virtual.share[0, 0, :3], torch.ones(3, dtype=precise) / 3)


def test_log_sizes_are_as_precise_as_what_they_bias() -> None:
    """The logarithm is taken in float64 where it is added in float64, of float32 sizes, too."""
    bias = log_size_bias(torch.tensor([[3.0, 0.0]]), torch.float64)
    assert bias.dtype == torch.float64
    assert bias.flatten().tolist() == [pytest.approx(log(3.0), rel=1e-15), -INF]
    assert log_size_bias(torch.tensor([[3.0]]), torch.bfloat16).dtype == torch.bfloat16
