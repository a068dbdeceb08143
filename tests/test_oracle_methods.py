"""Each method's rule against the same rule said plainly, in float64: random cases and hard ones."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import product

import pytest
import torch
from torch import Tensor

from hybrid import Keep
from hybrid.merging import Tokens, VisualTokens
from hybrid.methods.controls import Grid, Lowest, Pool, Random
from hybrid.methods.dart import Dart
from hybrid.methods.divprune import DivPrune
from hybrid.methods.downsample import Downsample
from hybrid.methods.fastv import FastV
from hybrid.methods.feather import FeatherStage
from hybrid.methods.prumerge import PruMerge
from hybrid.methods.pyramiddrop import PyramidStage
from hybrid.methods.sparsevlm import SparseStage, SparseVLM
from hybrid.methods.tome import ToMe
from hybrid.methods.visionzip import VisionZip
from hybrid.pruning import keep_counts, keep_top
from hybrid.reference import Token, keep_best, merge_step
from hybrid.reference.methods import (
    best,
    chance,
    dart,
    divprune,
    downsampled,
    feather,
    prumerge,
    raters,
    sparsevlm,
    stands_for,
    visionzip,
)
from hybrid.rope import Layout, layout, spots_of
from hybrid.stages import LanguageStage, Read, Seen, Standing
from hybrid.state import Sequence
from hybrid.vision import VisionTower
from tests.llavas import random_llava

SIDE, WIDTH, HEADS, DEPTH, ROWS = 6, 16, 4, 8, 4
PATCHES = SIDE * SIDE
COUNTS = (1, 9, 20, PATCHES)
EPS = 1e-9


def random_rows(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def clustered(generator: torch.Generator, *shape: int) -> Tensor:
    """A few centres, and everything next to one of them: many tokens that are nearly the same."""
    *batch, count, width = shape
    centres = random_rows(generator, *batch, 3, width)
    which = torch.arange(count) % 3
    return centres[..., which, :] + 1e-3 * random_rows(generator, *shape)


def one_apart(generator: torch.Generator, *shape: int) -> Tensor:
    """All alike but one."""
    rows = clustered(generator, *shape) * 0 + random_rows(generator, *shape[:-2], 1, shape[-1])
    rows = rows + 1e-4 * random_rows(generator, *shape)
    rows[..., 7, :] = -rows[..., 7, :]
    return rows


MAKERS: dict[str, Callable[..., Tensor]] = {
    "random": random_rows, "clustered": clustered, "one apart": one_apart
}  # fmt: skip
CASES = pytest.mark.parametrize(
    ("make", "seed"), [(name, seed) for name in MAKERS for seed in range(4)], ids=str
)


@dataclass(frozen=True)
class Beyond:
    """What `Seen.beyond` says of CLS's query [B, 1, D] and the keys of CLS and patches."""

    query: Tensor
    keys: Tensor

    def __call__(self) -> tuple[Tensor, Tensor]:
        logits = self.query @ self.keys.transpose(1, 2) / WIDTH**0.5
        return logits.softmax(dim=2)[:, 0, 1:], self.keys[:, 1:]


def seen_of(make: str, seed: int) -> tuple[Seen, Tensor, Tensor]:
    """Four images, unpadded: also what CLS attended to, and the keys."""
    generator = torch.Generator().manual_seed(seed)
    features = MAKERS[make](generator, ROWS, PATCHES, WIDTH)
    keys = MAKERS[make](generator, ROWS, HEADS, PATCHES, DEPTH)
    attention = random_rows(generator, ROWS, HEADS, PATCHES).softmax(dim=2)
    beyond = Beyond(
        random_rows(generator, ROWS, 1, WIDTH),
        MAKERS[make](generator, ROWS, 1 + PATCHES, WIDTH),
    )
    projection = random_rows(generator, WIDTH, WIDTH)
    position = torch.arange(PATCHES).expand(ROWS, -1)
    visual = VisualTokens(
        features, position, torch.ones(ROWS, PATCHES), torch.ones_like(position).bool(), position
    )
    seen = Seen(
        visual,
        (SIDE, SIDE),
        lambda: attention,
        lambda: keys,
        beyond,
        lambda x: x @ projection,
        lambda: torch.arange(ROWS),
    )
    return seen, attention, keys


def sharpened(seen: Seen, by: float) -> Seen:
    """With all logits of the block behind so many times as large."""
    assert isinstance(seen.beyond, Beyond)
    return replace(seen, beyond=replace(seen.beyond, query=seen.beyond.query * by))


def cells_at(position: Tensor) -> Callable[[], Tensor]:
    return lambda: torch.stack([position // SIDE, position % SIDE], dim=-1)


def read_of(make: str, seed: int) -> Read:
    """Four prompts, padded on the left by 0 to 3, each with its image at another place."""
    generator = torch.Generator().manual_seed(seed)
    length = PATCHES + 14
    first = torch.tensor([2, 5, 7, 4])
    hidden = MAKERS[make](generator, ROWS, length, WIDTH)
    key = MAKERS[make](generator, ROWS, 2, length, DEPTH)
    query = random_rows(generator, ROWS, HEADS, length, DEPTH)
    plain = random_rows(generator, ROWS, HEADS, length, DEPTH), key.flip(1)
    own = random_rows(generator, ROWS, HEADS, length, DEPTH), key.flip(2)
    begun = MAKERS[make](generator, ROWS, length, WIDTH)
    position, index = torch.arange(PATCHES).expand(ROWS, -1), torch.arange(length)
    valid = index >= torch.arange(ROWS)[:, None]
    is_image = (index >= first[:, None]) & (index < first[:, None] + PATCHES)
    places = layout(spots_of(is_image, PATCHES), position)
    return Read(
        hidden=hidden,
        query=query,
        key=key,
        unrotated=lambda: plain,
        own=lambda: own,
        normed=lambda x: x * 2,
        scaling=DEPTH**-0.5,
        valid=valid,
        standing=Standing(places.place, position, torch.ones_like(position).bool()),
        count=lambda: torch.full((ROWS,), PATCHES),
        cells=cells_at(position),
        seed=lambda: torch.arange(ROWS),
        begun=lambda: (Sequence(begun, index, valid), places),
    )


def asked(read: Read, keep: Keep) -> Read:
    """The same at a budget."""
    counts = torch.tensor(keep_counts(keep, PATCHES))
    return replace(read, count=lambda: counts[read.standing.present.sum(dim=1)])


def kept(scores: Tensor, keep: Keep) -> list[list[int]]:
    counts = torch.tensor(keep_counts(keep, PATCHES))
    found = keep_top(scores, torch.ones_like(scores).bool(), counts, int(counts[-1]))
    return found.slot.tolist()


def rows_of(read: Read, rows: slice) -> Read:
    """Some of the prompts."""

    def both(pair: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        return pair[0][rows], pair[1][rows]

    unrotated, own = both(read.unrotated()), both(read.own())
    prompt, places = read.begun()
    begun = replace(prompt, hidden=prompt.hidden[rows], valid=prompt.valid[rows])
    part = Layout(*(tensor[rows] for tensor in places))
    return replace(
        read,
        hidden=read.hidden[rows],
        query=read.query[rows],
        key=read.key[rows],
        unrotated=lambda: unrotated,
        own=lambda: own,
        valid=read.valid[rows],
        standing=Standing(*(tensor[rows] for tensor in read.standing)),
        cells=cells_at(read.standing.position[rows]),
        begun=lambda: (begun, part),
    )


def with_gaps(read: Read) -> Read:
    """Slots that hold no token: each prompt has other ones, and another number of them."""
    slot, row = torch.arange(PATCHES), torch.arange(ROWS)[:, None]
    present = (slot * 7 + row * 5) % 12 > row
    image = read.standing.first[:, None] + slot
    valid = read.valid.scatter(1, image, present)
    prompt, places = read.begun()
    begun = replace(prompt, valid=prompt.valid.scatter(1, image, present))
    standing = read.standing._replace(present=present)
    return replace(read, valid=valid, standing=standing, begun=lambda: (begun, places))


def without_gaps(read: Read, row: int) -> tuple[Read, list[int]]:
    """One prompt without its padding and its empty slots, and which slots are left."""
    left = read.valid[row].nonzero()[:, 0]
    alone = rows_of(read, slice(row, row + 1))
    slots = read.standing.present[row].nonzero()[:, 0].tolist()
    first = alone.standing.first - int((~read.valid[row, : alone.standing.first]).sum())
    position, present = torch.tensor([slots]), torch.ones(1, len(slots), dtype=torch.bool)

    def picked(pair: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        return pair[0][:, :, left], pair[1][:, :, left]

    unrotated, own = picked(alone.unrotated()), picked(alone.own())
    begun = alone.begun()[0].hidden[:, left]
    index = torch.arange(len(left))
    is_image = ((index >= first) & (index < first + len(slots)))[None]
    valid = torch.ones_like(is_image)
    places = layout(spots_of(is_image, len(slots)), torch.arange(len(slots))[None])
    return replace(
        alone,
        hidden=alone.hidden[:, left],
        query=alone.query[:, :, left],
        key=alone.key[:, :, left],
        unrotated=lambda: unrotated,
        own=lambda: own,
        valid=valid,
        standing=Standing(places.place, position, present),
        cells=cells_at(position),
        begun=lambda: (Sequence(begun, index, valid), places),
    ), slots


IN_A_LAYER: dict[str, Callable[[Keep], LanguageStage]] = {
    "fastv": FastV,
    "lowest-tokens": Lowest,
    "dart": Dart,
    "pyramiddrop": lambda keep: PyramidStage(2, keep),
    "feather": lambda keep: FeatherStage(2, keep),
    "feather's grid": lambda keep: FeatherStage(2, keep, every=3),
    "sparsevlm": lambda keep: SparseStage(2, keep),
}


@CASES
def test_padding_empty_slots_and_neighbours_do_not_count(make: str, seed: int) -> None:
    """What stays is what stays of the prompt alone, without them: the case that oracles are for."""
    read = with_gaps(read_of(make, seed))
    for (name, stage), keep in product(IN_A_LAYER.items(), map(Keep.parse, ("12", "0.5"))):
        for rows in (slice(0, ROWS), slice(2, 3)):
            part = asked(rows_of(read, rows), keep)
            counts = torch.tensor(keep_counts(keep, PATCHES))
            scores = stage(keep).scores(part)
            found = keep_top(scores, part.standing.present, counts, int(counts[-1]))
            for row, now in zip(range(ROWS)[rows], found.slot.tolist(), strict=True):
                alone, slots = without_gaps(read, row)
                plain = stage(keep).scores(asked(alone, keep))[0].tolist()
                count = keep.of(len(slots))
                assert now[:count] == [slots[at] for at in best(plain, count)], (name, row)


@CASES
@pytest.mark.parametrize("count", COUNTS)
def test_visionzip(make: str, seed: int, count: int) -> None:
    seen, attention, keys = seen_of(make, seed)
    choice = VisionZip(Keep(count=count)).choose(seen)
    assert choice.features is not None
    contextual = round(count * 10 / 64)
    for row in range(ROWS):
        features = seen.visual.features[row]
        plain = visionzip(attention[row], keys[row], features, count - contextual, contextual)
        assert choice.slot[row].tolist() == [patch for patch, _ in plain]
        torch.testing.assert_close(choice.features[row], torch.stack([f for _, f in plain]))


@CASES
def test_prumerge_plus(make: str, seed: int) -> None:
    for by in (1.0, 6.0):  # attention with few outliers, and with many
        seen = sharpened(seen_of(make, seed)[0], by)
        assert isinstance(seen.beyond, Beyond)
        query, keys = seen.beyond.query, seen.beyond.keys
        for count, nearest in ((1, 32), (9, 3), (20, 32), (PATCHES - 1, 3)):
            with pytest.MonkeyPatch.context() as patched:
                patched.setattr("hybrid.methods.prumerge.NEAREST", nearest)
                choice = PruMerge(Keep(count=count)).choose(seen)
            assert choice.features is not None and choice.valid.all()
            for row in range(ROWS):
                features = seen.visual.features[row]
                plain = prumerge(query[row, 0], keys[row], features, count, nearest)
                assert choice.slot[row].tolist() == [patch for patch, _ in plain], count
                torch.testing.assert_close(choice.features[row], torch.stack([f for _, f in plain]))


@CASES
def test_sparsevlm_is_rated_by_the_words_that_the_image_leans_to(make: str, seed: int) -> None:
    read, keep = read_of(make, seed), Keep(count=12)
    prompt, _ = read.begun()
    found = kept(SparseStage(1, keep).scores(read), keep)
    for row in range(ROWS):
        first, padding = int(read.standing.first[row]), row
        behind = first + PATCHES
        chosen = raters(prompt.hidden[row, first:behind], prompt.hidden[row, behind:])
        keys = read.key[row, :, padding:].repeat_interleave(2, dim=0)
        rows = [behind - padding + rater for rater in chosen]
        scores = sparsevlm(read.query[row, :, padding:], keys, rows, read.scaling)
        scores = scores[first - padding : behind - padding]
        assert found[row] == best(scores, 12)


def test_sparsevlm_stages_leave_what_the_last_one_keeps_at_the_end() -> None:
    for keep, left in (
        ("9", [36, 18, 9]), ("20", [36, 36, 20]), ("none", [36, 36, 36]),
        ("0.5", [36, 36, 18]), ("0.7", [36, 21, 10]), ("0.9", [14, 7, 3]),
    ):  # fmt: skip
        stages, slots = SparseVLM(Keep.parse(keep)).stages(32), [PATCHES]
        assert [stage.layer for stage in stages] == [3, 7, 16]
        for stage in stages:
            slots.append(stage.keep.of(slots[-1]))
        assert slots[1:] == left, keep
    own = SparseVLM(Keep(count=17), earlier=(66, 30)).stages(32)
    assert [stage.keep.count for stage in own] == [66, 30, 17]


@CASES
@pytest.mark.parametrize("count", [1, 9, 20])
def test_divprune(make: str, seed: int, count: int) -> None:
    seen, _, _ = seen_of(make, seed)
    choice = DivPrune(Keep(count=count)).choose(seen)
    for row in range(ROWS):
        plain = divprune(seen.project(seen.visual.features)[row], count)
        assert choice.slot[row].tolist() == plain
        assert len(set(plain)) == count


@CASES
def test_divprune_behind_merging_chooses_among_what_is_left(make: str, seed: int) -> None:
    seen, _, _ = seen_of(make, seed)
    for first, rows in ((0, ROWS), (2, 1)):
        left = [8, 36, 12, 29][first : first + rows]
        valid = torch.arange(PATCHES) < torch.tensor(left)[:, None]
        features = seen.visual.features[first : first + rows]
        padded = replace(seen, visual=replace(seen.visual, features=features, valid=valid))
        choice = DivPrune(Keep(count=12)).choose(padded)
        for row, count in enumerate(left):
            plain = divprune(seen.project(features)[row, :count], min(12, count))
            assert choice.slot[row][choice.valid[row]].tolist() == plain
            assert choice.valid[row].tolist() == [place < count for place in range(12)]


def test_divprune_chooses_no_token_twice_where_many_are_equal() -> None:
    seen, _, _ = seen_of("random", 1)
    groups = seen.visual.features[:, :9].repeat_interleave(4, dim=1)
    equal = replace(seen, visual=replace(seen.visual, features=groups))
    for count in (9, 20, PATCHES):
        choice = DivPrune(Keep(count=count)).choose(equal)
        for row in range(ROWS):
            chosen = choice.slot[row].tolist()
            assert len(set(chosen)) == count
            assert {slot // 4 for slot in chosen} == set(range(9))


@CASES
def test_dart(make: str, seed: int) -> None:
    read = read_of(make, seed)
    for count in (4, 9, 12, 17, 20, PATCHES):
        keep = Keep(count=count)
        found = kept(Dart(keep).scores(asked(read, keep)), keep)
        for row in range(ROWS):
            first = int(read.standing.first[row])
            image = range(first, first + PATCHES)
            plain = dart(read.key[row], read.normed(read.hidden)[row], image, count)
            assert len(plain) == 4 + 8 * ((count - 4) // 8)
            over = [place for place in range(PATCHES) if place not in plain][: count - len(plain)]
            assert found[row] == sorted(plain + over), count


@CASES
def test_feather_ranks_without_positions_and_keeps_its_grid(make: str, seed: int) -> None:
    read, keep = read_of(make, seed), Keep(count=12)
    query, key = read.unrotated()
    late, early = (kept(FeatherStage(1, keep, every).scores(read), keep) for every in (0, 3))
    grid = {row * SIDE + column for row in (0, 3) for column in (0, 3)}
    for row in range(ROWS):
        first = int(read.standing.first[row])
        keys = key[row].repeat_interleave(2, dim=0)[:, first : first + PATCHES]
        scores = feather(query[row, :, -1], keys, read.scaling)
        assert late[row] == best(scores, 12)
        assert set(early[row]) >= grid
        rest = [-1.0 if patch in grid else score for patch, score in enumerate(scores)]
        assert set(early[row]) - grid == set(best(rest, 12 - len(grid)))


@CASES
def test_pyramiddrop_ranks_by_the_layer_that_is_to_come(make: str, seed: int) -> None:
    read, keep = read_of(make, seed), Keep.parse("0.5")
    found = kept(PyramidStage(1, keep).scores(read), keep)
    query, key = read.own()
    for row in range(ROWS):
        keys = key[row].repeat_interleave(2, dim=0)
        logits = (keys @ query[row, :, -1, :, None])[..., 0] * read.scaling
        logits = logits.masked_fill(~read.valid[row], float("-inf"))
        first = int(read.standing.first[row])
        scores = logits.softmax(dim=1).mean(dim=0)[first : first + PATCHES].tolist()
        assert found[row] == keep_best(scores, keep) and len(found[row]) == PATCHES // 2


@CASES
def test_tome_merges_as_many_whatever_the_image_shows(make: str, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    tokens = Tokens.unmerged(MAKERS[make](generator, ROWS, PATCHES + 1, WIDTH))
    plain = [
        [Token(row[0], ()), *(Token(f, (p,)) for p, f in enumerate(row[1:]))]
        for row in tokens.features
    ]
    stage = ToMe(Keep(count=9)).fitted(PATCHES, 5, 4)
    assert sum(stage.merges) == PATCHES - 9 and len(stage.merges) == 4
    for block, merges in enumerate(stage.merges):
        keys = MAKERS[make](generator, ROWS, HEADS, tokens.size.shape[1], DEPTH)
        tokens = stage.merge(block, tokens, keys)
        for row in range(ROWS):
            left = len(plain[row]) - merges
            step = merge_step(plain[row], keys[row].mean(dim=0), float("inf"), left)
            plain[row] = step.tokens
            assert len(plain[row]) == tokens.size.shape[1]
            expected = torch.stack([token.feature for token in plain[row]])
            torch.testing.assert_close(tokens.features[row], expected, rtol=EPS, atol=EPS)


@CASES
def test_a_grid_and_its_means(make: str, seed: int) -> None:
    seen, _, _ = seen_of(make, seed)
    for count, side in ((1, 1), (4, 2), (9, 3), (11, 3), (PATCHES, 6)):
        pooled = Pool(Keep(count=count)).choose(seen)
        grid = Grid(Keep(count=count)).choose(seen)
        step = SIDE // side
        starts = [place * step for place in range(side)]
        expected = [row * SIDE + column for row in starts for column in starts]
        assert pooled.features is not None
        for row in range(ROWS):
            assert grid.slot[row].tolist() == pooled.slot[row].tolist() == expected, count
            image = seen.visual.features[row].reshape(SIDE, SIDE, WIDTH)
            means = [
                image[r : r + step, c : c + step].mean(dim=(0, 1)) for r in starts for c in starts
            ]
            torch.testing.assert_close(pooled.features[row], torch.stack(means))


def test_chance_is_a_hash_of_patch_and_prompt() -> None:
    for make, seed in product(MAKERS, range(4)):
        seen, _, _ = seen_of(make, seed)
        seeds = [seed, 7, 2**33 + seed, 123456789 * seed]
        asked = replace(seen, seed=partial(torch.tensor, seeds))
        for count in COUNTS:
            choice = Random(Keep(count=count)).choose(asked)
            for row in range(ROWS):
                scores = [float(chance(patch, seeds[row])) for patch in range(PATCHES)]
                assert choice.slot[row].tolist() == best(scores, count), (make, seed, count)


def test_downsampling_is_the_plain_resampling_and_stands_for_whole_patches() -> None:
    tower = random_llava().model.vision_tower
    for make, seed in product(MAKERS, range(4)):
        pixels = MAKERS[make](torch.Generator().manual_seed(seed), ROWS, 1, 24, 24)
        for side in (1, 2, 3, 5):
            stage = Downsample(Keep(count=side * side + 1))
            assert stage.side_of(SIDE) == side
            now = stage.smaller(pixels, 4 * side)
            for row in range(ROWS):
                low = [downsampled(line, 4 * side) for line in pixels[row, 0].T.tolist()]
                plain = [downsampled(line, 4 * side) for line in zip(*low, strict=True)]
                torch.testing.assert_close(
                    now[row, 0], torch.tensor(plain, dtype=torch.float64), rtol=EPS, atol=EPS
                )
    for side in range(1, SIDE + 1):
        stage = Downsample(Keep(count=side * side))
        with torch.inference_mode():
            visual = VisionTower(tower, -2, image=stage)(torch.zeros(ROWS, 3, 84, 84))
        groups = stands_for(PATCHES, side * side)
        for row in range(ROWS):
            assert visual.position[row].tolist() == [group[0] for group in groups]
            for slot, group in enumerate(groups):
                assert {int(visual.owner[row, patch]) for patch in group} == {slot}
