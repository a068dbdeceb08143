"""What every merge must keep, on cases drawn by hypothesis with exact cosines and many ties."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hybrid.merging import Tokens, VisualTokens, in_raster_order, merge
from hybrid.reference import Token, merge_step

WIDTH = 5
SETTINGS = settings(max_examples=60, deadline=None, derandomize=True)


@dataclass(frozen=True)
class Merges:
    """A batch of unmerged tokens and the steps that follow."""

    features: Tensor  # [B, 1 + P, WIDTH]
    metrics: list[Tensor]  # [B, 1 + P, 3] a step
    threshold: float
    capacity: int | None

    def run(self, rows: slice = slice(None)) -> list[Tokens]:
        """The tokens before the first step, and after each."""
        stages = [Tokens.unmerged(self.features[rows])]
        for metric in self.metrics:
            stages.append(merge(stages[-1], metric[rows], self.threshold, self.capacity))
        return stages


@st.composite
def merges(draw: st.DrawFn) -> Merges:
    """Metrics are signed unit vectors along an axis: cosines are -1, 0 or 1, without rounding."""
    batch, patches = draw(st.integers(1, 4)), draw(st.integers(1, 20))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    axes = torch.cat([torch.eye(3), -torch.eye(3)])
    metrics = [
        axes[torch.randint(6, (batch, 1 + patches), generator=generator)]
        for _ in range(draw(st.integers(1, 4)))
    ]
    return Merges(
        features=torch.randn(batch, 1 + patches, WIDTH, generator=generator),
        metrics=metrics,
        threshold=draw(st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0, float("inf")])),
        capacity=draw(st.none() | st.integers(1, 1 + patches)),
    )


def tokens_of(stage: Tokens, row: int) -> list[Token]:
    owner = stage.owner[row].tolist()
    return [
        Token(stage.features[row, i], tuple(p for p, o in enumerate(owner) if o == i))
        for i in range(int((stage.size[row] > 0).sum()))
    ]


@SETTINGS
@given(merges())
def test_a_merge_is_the_oracles_even_among_equals(case: Merges) -> None:
    stages = case.run()
    for (before, after), metric in zip(pairwise(stages), case.metrics, strict=True):
        for row in range(len(metric)):
            tokens = tokens_of(before, row)
            keys = metric[row, : len(tokens)].double()
            step = merge_step(tokens, keys, case.threshold, case.capacity)
            assert [t.patches for t in tokens_of(after, row)] == [t.patches for t in step.tokens]


@SETTINGS
@given(merges())
def test_no_patch_is_lost_and_sizes_count_them(case: Merges) -> None:
    for stage in case.run():
        for owner, size in zip(stage.owner.tolist(), stage.size.tolist(), strict=True):
            present = sum(s > 0 for s in size)
            assert all(s > 0 for s in size[:present]), "padding stands at the end"
            assert size[0] == 1, "CLS stays alone"
            assert size[1:] == [owner.count(slot) for slot in range(1, len(size))]
            assert 0 not in owner


@SETTINGS
@given(merges())
def test_the_size_weighted_sum_of_features_is_conserved(case: Merges) -> None:
    stages = case.run()
    totals = [(s.size.double()[..., None] * s.features.double()).sum(dim=1) for s in stages]
    # A float32 mean is off by as many roundings as it has terms, and is weighted by its size.
    patches = case.features.shape[1]
    allowed = len(stages) * patches**2 * 2.0**-24 * float(case.features.abs().max())
    for total in totals[1:]:
        assert float((total - totals[0]).abs().max()) <= allowed


@SETTINGS
@given(merges())
def test_a_token_that_takes_part_in_no_merge_keeps_its_features_bit_for_bit(case: Merges) -> None:
    for stage in case.run()[1:]:
        for row in range(len(case.features)):
            assert torch.equal(stage.features[row, 0], case.features[row, 0])  # CLS
            for token in tokens_of(stage, row)[1:]:
                if token.size == 1:
                    (patch,) = token.patches
                    assert torch.equal(token.feature, case.features[row, 1 + patch])


@SETTINGS
@given(merges())
def test_a_step_at_most_halves_the_patch_tokens_and_respects_threshold_one(case: Merges) -> None:
    stages = case.run()
    for before, after in pairwise(stages):
        was, now = ((s.size > 0).sum(dim=1) for s in (before, after))
        assert (was - now).le((was - 1) // 2).all()
        if case.threshold >= 1 and case.capacity is None:
            assert torch.equal(was, now), "no cosine is greater than 1"
        if case.threshold >= 1 and case.capacity is not None:
            assert now.ge(was.clamp(max=case.capacity)).all(), "no more merges than needed"


@SETTINGS
@given(merges())
def test_a_sample_merges_as_it_would_alone(case: Merges) -> None:
    together = case.run()
    for row in range(len(case.features)):
        alone = case.run(slice(row, row + 1))
        for stage, single in zip(together, alone, strict=True):
            assert torch.equal(stage.owner[row], single.owner[0])
            assert torch.equal(stage.size[row], single.size[0])
            gap = (stage.features[row] - single.features[0]).abs().max()
            assert gap <= len(together) * 2.0**-20 * case.features.abs().max()


@SETTINGS
@given(merges())
def test_raster_order_names_each_group_by_its_lowest_patch(case: Merges) -> None:
    last = case.run()[-1]
    patches = last.owner.shape[1]
    visual: VisualTokens = in_raster_order(last, patches)
    for row in range(len(visual.owner)):
        valid, owner = visual.valid[row], visual.owner[row].tolist()
        count = int(valid.sum())
        assert valid.tolist() == [slot < count for slot in range(patches)]
        position = visual.position[row, :count].tolist()
        assert position == sorted(set(position))
        assert position == [owner.index(slot) for slot in range(count)]  # the first, so the lowest
        assert visual.size[row].tolist() == [owner.count(slot) for slot in range(patches)]
        groups = {t.patches: t.feature for t in tokens_of(last, row)[1:]}
        for slot in range(count):
            members = tuple(p for p in range(patches) if owner[p] == slot)
            assert torch.equal(visual.features[row, slot], groups[members])
