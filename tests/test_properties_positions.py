"""Layout, positions, ranking and pruning against plain Python, on cases drawn by hypothesis."""

from dataclasses import dataclass
from fractions import Fraction

import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from hybrid.config import Keep
from hybrid.masks import causal_mask
from hybrid.pruning import (
    keep_counts,
    keep_top,
    kept_index,
    last_row_scores,
    rank_scores,
)
from hybrid.reference import keep_best, softmax_attention
from hybrid.rope import consecutive_position_ids, layout, spots_of, unmerging

SETTINGS = settings(max_examples=100, deadline=None, derandomize=True)
KEEPS = st.one_of(
    st.integers(1, 30).map(Keep.parse),
    st.decimals("0.001", "0.999", places=3).map(lambda d: Keep.parse(str(d))),
    st.floats(0.01, 0.99).map(Keep.parse),
)


@dataclass(frozen=True)
class Sample:
    """One row: its padding, text before and after, and which patch each visual token stands for."""

    padding: int
    before: int
    after: int
    owner: list[int]  # of each patch, slots in raster order of their lowest patch
    scores: list[int]  # one a slot

    @property
    def representatives(self) -> list[int]:
        return [self.owner.index(slot) for slot in range(len(self.scores))]


@st.composite
def batches(draw: st.DrawFn) -> list[Sample]:
    patches, rows = draw(st.integers(1, 9)), []
    for _ in range(draw(st.integers(1, 3))):
        owner: list[int] = []
        for _ in range(patches):
            owner.append(draw(st.integers(0, max(owner, default=-1) + 1)))
        before, after = draw(st.integers(0, 4)), draw(st.integers(1, 4))
        count = max(owner) + 1
        scores = draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))  # many ties
        rows.append((before, after, owner, scores))
    longest = max(before + after for before, after, _, _ in rows)
    return [Sample(longest - b - a, b, a, owner, scores) for b, a, owner, scores in rows]


@dataclass(frozen=True)
class Padded:
    """The same batch as tensors, N slots a sample."""

    is_image: Tensor
    attention_mask: Tensor
    position: Tensor
    present: Tensor
    owner: Tensor
    scores: Tensor


def padded(rows: list[Sample], slots: int) -> Padded:
    patches = len(rows[0].owner)

    def fill(values: list[int]) -> list[int]:
        return values + [0] * (slots - len(values))

    return Padded(
        is_image=torch.tensor(
            [[0] * (r.padding + r.before) + [1] * patches + [0] * r.after for r in rows]
        ).bool(),
        attention_mask=torch.tensor(
            [[0] * r.padding + [1] * (r.before + patches + r.after) for r in rows]
        ),
        position=torch.tensor([fill(r.representatives) for r in rows]),
        present=torch.tensor([[i < len(r.scores) for i in range(slots)] for r in rows]),
        owner=torch.tensor([r.owner for r in rows]),
        scores=torch.tensor([fill(r.scores) for r in rows]).float(),
    )


def plain_sources(row: Sample, kept: list[int]) -> list[int]:
    """Which unreduced places, without padding, are left."""
    patches = len(row.owner)
    visual = [row.before + row.representatives[slot] for slot in kept]
    behind = range(row.before + patches, row.before + patches + row.after)
    return [*range(row.before), *visual, *behind]


@SETTINGS
@given(batches(), st.integers(0, 3))
def test_the_layout_is_text_visual_tokens_text_at_their_logical_positions(
    rows: list[Sample], spare: int
) -> None:
    patches = len(rows[0].owner)
    slots = min(patches, max(len(r.scores) for r in rows) + spare)
    case = padded(rows, slots)
    places = layout(spots_of(case.is_image, patches), case.position)
    valid = torch.where(
        places.is_visual,
        case.present.gather(1, places.visual_slot),
        case.attention_mask.bool().gather(1, places.source),
    )
    logical = consecutive_position_ids(case.attention_mask.bool()).gather(1, places.source)
    for i, row in enumerate(rows):
        here = valid[i]
        expected = plain_sources(row, list(range(len(row.scores))))
        assert logical[i][here].tolist() == expected
        assert expected == sorted(set(expected)), "strictly increasing: causality follows position"
        assert (places.source[i][here] - row.padding).tolist() == expected
        shown = places.visual_slot[i][here & places.is_visual[i]]
        assert shown.tolist() == list(range(len(row.scores)))
        compact = consecutive_position_ids(valid)[i][here]
        assert compact.tolist() == list(range(len(expected)))


@SETTINGS
@given(batches(), KEEPS, st.integers(0, 3))
def test_pruning_keeps_the_best_in_order_and_their_logical_positions(
    rows: list[Sample], keep: Keep, spare: int
) -> None:
    patches = len(rows[0].owner)
    slots = min(patches, max(len(r.scores) for r in rows) + spare)
    case = padded(rows, slots)
    counts = torch.tensor(keep_counts(keep, slots))
    kept = keep_top(case.scores, case.present, counts, int(counts.max()))
    places = layout(spots_of(case.is_image, patches), case.position)
    length = places.source.shape[1]
    index, stays, _ = kept_index(kept, places.place, length)
    logical = consecutive_position_ids(case.attention_mask.bool()).gather(1, places.source)
    for i, row in enumerate(rows):
        expected = keep_best(row.scores, keep)
        assert kept.slot[i][kept.valid[i]].tolist() == expected
        assert kept.valid[i].tolist() == sorted(kept.valid[i].tolist(), reverse=True)
        lost = set(range(len(row.scores))) - set(expected)
        for slot in lost:  # whoever stays is better, or as good and at a lower position
            assert all((-row.scores[k], k) < (-row.scores[slot], slot) for k in expected)
        behind_padding = stays[i] & (torch.arange(len(stays[i])) >= row.padding)
        assert logical[i, index[i]][behind_padding].tolist() == plain_sources(row, expected)


@given(KEEPS, st.integers(1, 600))
@example(Keep.parse(1 - 0.7), 576)  # 17 digits: products of its fraction leave 64 bits
@example(Keep.parse("0." + "3" * 30), 576)
@example(Keep.parse("0.8"), 50)  # binary floats say 9
@SETTINGS
def test_a_share_is_counted_exactly(keep: Keep, tokens: int) -> None:
    count = keep_counts(keep, tokens)[tokens]
    assert 1 <= count <= tokens
    assert count == len(keep_best([0.0] * tokens, keep))
    if keep.removed is not None:
        exact = tokens * (1 - Fraction(keep.removed))
        assert count == 1 or count <= exact < count + 1


@SETTINGS
@given(batches())
def test_virtual_unmerging_puts_each_token_at_all_of_its_patches(rows: list[Sample]) -> None:
    patches = len(rows[0].owner)
    slots = max(len(r.scores) for r in rows)
    case = padded(rows, slots)
    places = layout(spots_of(case.is_image, patches), case.position)
    virtual = unmerging(places, case.is_image, case.owner, slots, torch.float32)
    length = case.is_image.shape[1]
    expanded = torch.randn(len(rows), 2, length, 3)
    merged = virtual.merge(expanded)
    for i, row in enumerate(rows):
        lead = row.padding + row.before
        behind = range(lead + slots, lead + slots + row.after)
        expected = [*range(lead), *(lead + slot for slot in row.owner), *behind]
        assert virtual.token[i].tolist() == expected
        for token in sorted(set(expected)):
            standing = [place for place, t in enumerate(expected) if t == token]
            mean = expanded[i][:, standing].double().mean(dim=1)
            allowed = 2.0**-23 * patches * expanded.abs().max()
            assert (merged[i][:, token] - mean).abs().max() <= allowed


@SETTINGS
@given(batches())
def test_a_query_sees_what_is_valid_and_not_later_and_never_nothing(rows: list[Sample]) -> None:
    valid = padded(rows, len(rows[0].owner)).attention_mask.bool()
    mask = causal_mask(valid)[:, 0]
    for i, row in enumerate(valid.tolist()):
        for query in range(len(row)):
            expected = [key == query or (key < query and row[key]) for key in range(len(row))]
            assert mask[i, query].tolist() == expected


@SETTINGS
@given(st.integers(1, 3), st.integers(1, 8), st.integers(0, 5), st.integers(0, 2**32))
def test_the_last_row_is_that_of_the_full_attention_matrix(
    shared: int, length: int, padding: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    groups, width = 2, 4
    query = torch.randn(1, groups * shared, padding + length, width, generator=generator)
    key = torch.randn(1, groups, padding + length, width, generator=generator)
    valid = (torch.arange(padding + length) >= padding)[None]
    row = last_row_scores(query[:, :, -1:], key, valid, width**-0.5)[0]
    assert row[:padding].eq(0).all()
    keys = key[0].repeat_interleave(shared, dim=0)[:, padding:]
    causal = torch.full((length, length), float("-inf")).triu(diagonal=1)

    def matrix(dtype: torch.dtype) -> Tensor:
        q, k = query[0, :, padding:].to(dtype), keys.to(dtype)
        _, weights = softmax_attention(q, k, k, causal.to(dtype))
        return weights.mean(dim=0)[-1].double()

    exact = matrix(torch.float64)
    rounding = float((matrix(torch.float32) - exact).abs().max())
    # Scores are shares of 1: one rounding of the whole is the least that can be asked for.
    assert float((row[padding:] - exact).abs().max()) <= 2 * (rounding + 2.0**-23)


def test_scores_of_half_precision_keys_are_ranked_in_float32() -> None:
    """Products, softmax and the mean over heads: in bfloat16 unequal tokens would tie."""
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(2, 4, 1, 8, generator=generator).bfloat16()
    key = torch.randn(2, 4, 60, 8, generator=generator).bfloat16()
    row = last_row_scores(query, key, torch.ones(2, 60, dtype=torch.bool), 8**-0.5)
    exact = (query.double() @ key.double().transpose(2, 3) * 8**-0.5).softmax(-1).mean(dim=(1, 2))
    assert row.dtype == torch.float32
    # A product sums 8 terms of at most 3; exp makes its absolute error one of the whole share.
    allowed = exact * 2 * 8 * 2.0**-24 * 10
    assert (row.double() - exact).abs().le(allowed).all()


@SETTINGS
@given(
    st.lists(st.integers(0, 2**40), min_size=2, max_size=4),
    st.lists(st.integers(0, 575), min_size=1, max_size=12, unique=True),
)
def test_a_random_draw_depends_on_the_prompt_alone(seeds: list[int], patches: list[int]) -> None:
    position = torch.tensor(patches).expand(len(seeds), -1)
    nothing = torch.zeros(position.shape)
    together = rank_scores(nothing, position, torch.tensor(seeds), "random")
    for i, seed in enumerate(seeds):
        alone = rank_scores(nothing[:1], position[:1], torch.tensor([seed]), "random")
        assert torch.equal(together[i], alone[0])
    assert together.ge(0).all()


def test_a_random_draw_spreads_over_the_image() -> None:
    """Keeping a quarter at random, every patch stays for about a quarter of the prompts."""
    prompts, slots = 2000, 36
    position = torch.arange(slots).expand(prompts, -1)
    seeds = torch.arange(prompts) * 17 + 3
    scores = rank_scores(torch.zeros(prompts, slots), position, seeds, "random")
    counts = torch.tensor(keep_counts(Keep.parse("9"), slots))
    kept = keep_top(scores, torch.ones(prompts, slots, dtype=torch.bool), counts, 9)
    share = torch.bincount(kept.slot.flatten(), minlength=slots) / prompts
    deviation = (0.25 * 0.75 / prompts) ** 0.5
    assert (share - 0.25).abs().max() <= 5 * deviation
