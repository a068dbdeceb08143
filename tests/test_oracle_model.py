"""The fast path against the float64 oracle: positions, ranking, kept tokens, logits, answers.

In float64 every case must decide as the oracle does, with logits that are the same to ten digits.
transformers' angles of positions are float32's in every dtype, so here the model gets float64's.
How a library rounds does not enter.

In float32 and bfloat16 tolerances are measured, not chosen: the oracle is run once more in the fast
path's own dtype. A decision (a merge, a kept token) must be the oracle's wherever its margin is
wider than twice what that run is away from float64. A single logit may be off by twice the sum of
what calibration runs are and what the oracle's run of the same case under the same decisions is:
the worst of some thousand numbers is a matter of luck, in either. The root mean square is none, so
over all cases it may be at most twice rounding's: a defect of precision that touches many numbers a
little shows there.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.arms.untrained import batch_of
from hybrid import HybridConfig, HybridLlava, hybridize
from hybrid.config import RopeMode
from hybrid.reference import Oracle, Reading, Seen
from hybrid.state import State
from tests.llavas import (
    IMAGE_TOKEN,
    PATCHES,
    SHAPE,
    Batch,
    Longest,
    batch,
    in_turns,
    random_llava,
)
from tests.oracle_replay import replay, rms

ROPES: tuple[RopeMode, ...] = ("logical", "compact")
STEPS = 4  # logits compared a sample: of the prompt, and of three decoded tokens
NOTHING, SOME, ALMOST_ALL = (1.0,) * 4, (0.6, 0.5, 0.4, 1.0), (-1.0, -1.0, -1.0, 1.0)


@dataclass(frozen=True)
class Rounding:
    """How far from the oracle rounding may lead: cosines, attention scores, logits."""

    cosine: float
    score: float
    logit: float


@cache
def oracle_weights(groups: int, weights: torch.dtype, computed: torch.dtype) -> Oracle:
    llava = random_llava(groups=groups).to(weights)
    return Oracle(llava, HybridConfig(), computed)


def oracle(
    config: HybridConfig, groups: int, weights: torch.dtype, computed: torch.dtype = torch.float64
) -> Oracle:
    reduced = copy(oracle_weights(groups, weights, computed))
    reduced.config = config
    return reduced


def fast(config: HybridConfig, groups: int, dtype: torch.dtype) -> HybridLlava:
    llava = random_llava(groups=groups).to(dtype)
    model = hybridize(llava, config)
    model.end_ids = []  # answers go on: what stands behind an end token is not compared
    if dtype is torch.float64:
        model.language.model.rotary_emb = ExactAngles(model.language.model.config)
    return model


class ExactAngles(torch.nn.Module):
    """In place of transformers' rotary embedding, whose angles are float32's whatever the dtype."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        half = config.head_dim // 2
        theta: float = config.rope_parameters["rope_theta"]
        self.frequency = theta ** (-torch.arange(half, dtype=torch.float64) / half)

    def forward(self, hidden: Tensor, position_ids: Tensor) -> tuple[Tensor, Tensor]:
        """cos and sin [B, L, C] of position_ids [B, L], in hidden's dtype."""
        angle = (position_ids[..., None] * self.frequency).repeat(1, 1, 2)
        return angle.cos().to(hidden.dtype), angle.sin().to(hidden.dtype)


def prompt_of(reference: Oracle, given: Batch, row: int) -> tuple[list[int], Tensor]:
    """Ids without padding, and pixels that are the same image for every dtype."""
    alone = given.one(row)
    pixels = alone.pixel_values[0].to(torch.bfloat16).to(reference.dtype)
    return alone.input_ids[0].tolist(), pixels


def read(reference: Oracle, given: Batch, row: int) -> Reading:
    return reference.read(*prompt_of(reference, given, row))


def prefill(model: HybridLlava, given: Batch) -> State:
    pixels = given.pixel_values.to(torch.bfloat16)  # the same image for every dtype
    inputs = model.place(given.input_ids, pixels, given.attention_mask)
    return model.prefill(inputs, STEPS)


@cache
def rounding(groups: int, dtype: torch.dtype) -> Rounding:
    """Twice what the oracle, run in `dtype`, is away from itself, over a few configs."""
    if dtype is torch.float64:  # seen: 2e-14, and 4e-8 where one step rounded to float32
        return Rounding(cosine=1e-10, score=1e-10, logit=1e-10)
    cosine, score, logit = 0.0, 0.0, 0.0
    given = batch(4)
    for thresholds, layer in product((None, NOTHING, SOME, ALMOST_ALL), range(4)):
        config = HybridConfig(keep=5, aggregation_layer=layer, thresholds=thresholds)
        exact, rounded = (oracle(config, groups, dtype, d) for d in (torch.float64, dtype))
        for row in range(len(given)):
            true, near = read(exact, given, row), read(rounded, given, row)
            cosine = max(cosine, *cosine_errors(true.seen, near.seen))
            if [s.pairs for s in true.seen.steps] != [s.pairs for s in near.seen.steps]:
                continue  # a near-tie went the other way: what follows is another image
            near = replace(near, kept=true.kept)
            score = max(score, _distance(torch.tensor(near.scores), true.scores))
            answer: list[int] = []
            while len(answer) < STEPS:
                logits = exact.next_logits(true, answer)
                logit = max(logit, _distance(rounded.next_logits(near, answer), logits))
                answer.append(int(logits.argmax()))
    return Rounding(2 * cosine, 2 * score, 2 * logit)


def cosine_errors(true: Seen, near: Seen) -> list[float]:
    """How far apart best similarities are, up to the first step that decides otherwise."""
    errors = [0.0]
    for step, other in zip(true.steps, near.steps, strict=False):
        if step.pairs != other.pairs:
            break
        errors += [abs(a - b) for a, b in zip(step.best, other.best, strict=True)]
    return errors


@dataclass(frozen=True)
class Compared:
    """A case. near_ties: decisions that rounding explains. fast, rounding: errors of the logits of
    the fast path and of the oracle in its dtype."""

    near_ties: list[str]
    fast: Sequence[Tensor]
    rounding: Sequence[Tensor]

    @property
    def worst(self) -> float:
        return max((float(error.abs().max()) for error in self.fast), default=0.0)

    @property
    def worst_rounding(self) -> float:
        return max((float(error.abs().max()) for error in self.rounding), default=0.0)


class Errors:
    """How far the fast path's logits are from the oracle's over a case, and rounding's share of it.

    Scores are left out: the shares of one softmax row move together, so a case of a few samples has
    too few independent errors for its mean to mean anything.
    """

    def __init__(self, exact: Oracle, rounded: Oracle, given: Batch) -> None:
        self.exact, self.rounded, self.given = exact, rounded, given
        self._near: dict[int, Reading] = {}
        self._logits: dict[tuple[int, ...], tuple[Tensor, Tensor]] = {}
        self._fast: list[Tensor] = []
        self._rounding: list[Tensor] = []

    def add(self, row: int, true: Reading, answer: list[int], fast: Tensor) -> Tensor:
        """Logits [V] behind an answer so far; returns the oracle's."""
        key = (row, len(true.kept), *true.kept, *answer)
        if key not in self._logits:
            near = self._rounded(row, true)
            expected = self.exact.next_logits(true, answer)
            error = self.rounded.next_logits(near, answer).double() - expected
            self._logits[key] = expected, error
        expected, error = self._logits[key]
        self._fast.append(fast.double() - expected)
        self._rounding.append(error)
        return expected

    def _rounded(self, row: int, true: Reading) -> Reading:
        if row not in self._near:
            self._near[row] = replay(self.rounded, *prompt_of(self.rounded, self.given, row), true)
        return replace(self._near[row], kept=true.kept)

    def found(self, near_ties: list[str]) -> Compared:
        return Compared(near_ties, self._fast, self._rounding)


def assert_precise(cases: Sequence[Compared]) -> None:
    """The root mean square of all errors is at most twice what rounding explains."""
    error = rms([error for case in cases for error in case.fast])
    rounding = rms([error for case in cases for error in case.rounding])
    assert error <= 2 * rounding, f"{error:.2g}, and rounding explains {rounding:.2g}"


def _distance(given: Tensor, true: Tensor | Sequence[float]) -> float:
    return float((given.double() - torch.as_tensor(true, dtype=torch.float64)).abs().max())


def same_merges(state: State, row: int, reading: Reading) -> bool:
    """Whether representative, size and owner are the oracle's; padding stands behind."""
    tokens, visual = reading.seen.tokens, state.trace.visual
    owner = [next(i for i, t in enumerate(tokens) if p in t.patches) for p in range(PATCHES)]
    valid = visual.valid[row]
    return (
        valid.tolist() == [i < len(tokens) for i in range(len(valid))]
        and visual.position[row][valid].tolist() == [t.patches[0] for t in tokens]
        and visual.size[row][valid].tolist() == [t.size for t in tokens]
        and visual.owner[row].tolist() == owner
    )


def kept_slots(state: State, row: int) -> list[int]:
    kept = state.trace.kept
    assert kept is not None
    slots: list[int] = kept.slot[row][kept.valid[row]].tolist()
    return slots


def cut_groups(reading: Reading, kept: Sequence[int]) -> list[list[int]]:
    """What stands where behind the aggregation layer."""
    prompt = reading.prompt
    stays = {prompt.visual[i] for i in kept}
    return [g for i, g in enumerate(prompt.groups) if i not in prompt.visual or i in stays]


def assert_positions(state: State, row: int, reading: Reading, config: HybridConfig) -> None:
    long = state.spans[0].valid[row, : state.trace.position_ids.shape[1]]
    expected = sorted(p for group in reading.prompt.groups for p in group)
    assert state.trace.position_ids[row][long].tolist() == expected
    assert state.spans[0].next_position[row] == reading.prompt.next_position
    if config.budget.prunes:
        short = state.spans[1].valid[row, : state.trace.pruned_position_ids.shape[1]]
        expected = [g[0] for g in cut_groups(reading, reading.kept)]
        if config.rope == "compact":
            expected = list(range(len(expected)))
        assert state.trace.pruned_position_ids[row][short].tolist() == expected
        assert state.spans[1].next_position[row] == expected[-1] + 1


@cache
def compare(config: HybridConfig, groups: int, longest: Longest, dtype: torch.dtype) -> Compared:
    """Assert that the fast path, batched and one by one, decides as the oracle."""
    given, allowed = batch(4, longest), rounding(groups, dtype)
    reference = oracle(config, groups, dtype)
    errors = Errors(reference, oracle(config, groups, dtype, dtype), given)
    readings = [read(reference, given, row) for row in range(len(given))]
    model = fast(config, groups, dtype)
    near_ties = []
    for rows in (range(4), *([row] for row in range(4))):
        state = prefill(model, given if len(rows) == 4 else given.one(rows[0]))
        truths: dict[int, Reading] = {}
        for i, row in enumerate(rows):
            true = readings[row]
            merging_margin = min((s.margin for s in true.seen.steps), default=float("inf"))
            if not same_merges(state, i, true):
                assert merging_margin <= allowed.cosine, f"sample {row} of {rows}: other merges"
                near_ties.append(f"merge in sample {row}")
                continue
            if state.trace.scores is not None:
                scores = state.trace.scores[i, : len(true.scores)]
                scores = -scores if config.rank == "lowest" else scores  # what it was ranked by
                assert _distance(scores, true.scores) <= allowed.score
                kept = kept_slots(state, i)
                if kept != true.kept:
                    swapped = [true.scores[slot] for slot in {*kept} ^ {*true.kept}]
                    assert max(swapped) - min(swapped) <= 2 * allowed.score, f"sample {row}: {kept}"
                    near_ties.append(f"kept in sample {row}")
                    true = replace(true, kept=kept)
            assert_positions(state, i, true, config)
            truths[i] = true
        answers: list[list[int]] = [[] for _ in rows]
        for _ in range(STEPS):
            for i, true in truths.items():
                expected = errors.add(rows[i], true, answers[i], state.logits[i])
                best, second = expected.topk(2).values.tolist()
                if best - second > 2 * allowed.logit:
                    assert int(state.logits[i].argmax()) == int(expected.argmax())
            model.select(state)
            for i in range(len(rows)):
                answers[i].append(int(state.token[i]))
            if state.step < STEPS - 1:
                model.decode(state)
    return errors.found(near_ties)


def matrix() -> list[tuple[HybridConfig, int, Longest]]:
    """Every pair of merging, budget and positions; the other settings take turns."""
    cases: list[tuple[HybridConfig, int]] = []
    merging, budgets = (None, NOTHING, SOME, ALMOST_ALL), ("1", "5", "50", "0.7", "none")
    for i, (thresholds, keep, rope) in enumerate(product(merging, budgets, ROPES)):
        config = HybridConfig(
            keep=keep,
            aggregation_layer=(i // 2) % 4,
            thresholds=thresholds,
            rope=rope,
            prune="mask" if i % 3 == 0 else "drop",
        )
        cases.append((config, 2 if i % 4 in (1, 2) else 4))
    cases += [(HybridConfig(thresholds=t, rope="virtual"), g) for t in merging for g in (4, 2)]
    for capacity, thresholds in ((1, NOTHING), (7, NOTHING), (35, NOTHING), (5, SOME)):
        config = HybridConfig(
            keep="3", aggregation_layer=1, thresholds=thresholds, capacity=capacity
        )
        cases.append((config, 4))
    cases.append((HybridConfig(thresholds=NOTHING, capacity=9, rope="virtual"), 4))
    cases.append((HybridConfig(keep="5", aggregation_layer=2, rank="lowest"), 4))
    return [(config, groups, in_turns(i)) for i, (config, groups) in enumerate(cases)]


def name(value: object) -> str:
    if isinstance(value, str):
        return f"longest-{value}"
    if not isinstance(value, HybridConfig):
        return f"{value} groups"
    merging = f"above-{value.thresholds[0]}" if value.thresholds else "unmerged"
    words = [merging, f"cap-{value.capacity}", value.rope, value.prune]
    return "-".join([*words, f"keep-{value.budget}", f"layer-{value.aggregation_layer}"])


@pytest.mark.parametrize(("config", "groups", "longest"), matrix(), ids=name)
def test_float64_does_as_the_oracle_does(
    config: HybridConfig, groups: int, longest: Longest
) -> None:
    found = compare(config, groups, longest, torch.float64)
    assert not found.near_ties
    assert found.worst <= rounding(groups, torch.float64).logit


def assert_rounded(found: Compared, groups: int, dtype: torch.dtype) -> None:
    """No logit is further off than twice what calibration and this case's own rounding are."""
    assert found.worst <= rounding(groups, dtype).logit + 2 * found.worst_rounding


@pytest.mark.parametrize(("config", "groups", "longest"), matrix(), ids=name)
def test_float32_does_as_the_oracle_does(
    config: HybridConfig, groups: int, longest: Longest
) -> None:
    found = compare(config, groups, longest, torch.float32)
    assert len(found.near_ties) <= 2, f"near-ties are rare: {found.near_ties}"
    assert_rounded(found, groups, torch.float32)


def test_float32_is_as_precise_as_rounding_allows() -> None:
    assert_precise([compare(*case, torch.float32) for case in matrix()])


UNCAPPED = [case for case in matrix() if case[0].capacity is None]


@pytest.mark.parametrize(("config", "groups", "longest"), UNCAPPED[::3], ids=name)
def test_bfloat16_does_as_the_oracle_does(
    config: HybridConfig, groups: int, longest: Longest
) -> None:
    found = compare(config, groups, longest, torch.bfloat16)
    assert len(found.near_ties) <= 4, f"at least half decide alike: {found.near_ties}"
    assert_rounded(found, groups, torch.bfloat16)


def test_bfloat16_is_as_precise_as_rounding_allows() -> None:
    assert_precise([compare(*case, torch.bfloat16) for case in UNCAPPED[::3]])


ANSWERED = [
    (HybridConfig(keep=keep, aggregation_layer=1, thresholds=thresholds, rope=rope), in_turns(i))
    for i, (keep, thresholds, rope) in enumerate(product(("none", "3"), (None, SOME), ROPES))
]


@pytest.mark.parametrize(("config", "longest"), ANSWERED, ids=name)
def test_answers_are_the_oracles_up_to_their_end(config: HybridConfig, longest: Longest) -> None:
    given, new = batch(4, longest), 8
    reference, model = oracle(config, 4, torch.float32), fast(config, 4, torch.float32)

    def answer(row: int) -> list[int]:
        alone = given.one(row)
        return reference.generate(alone.input_ids[0].tolist(), alone.pixel_values[0], new)

    reference.ends = []
    model.end_ids = reference.ends = [answer(0)[2]]  # what sample 0 says third ends each answer
    expected = [answer(row) for row in range(len(given))]
    assert len({len(ids) for ids in expected}) > 1, "the answers must end at different places"
    together = model.generate(
        given.input_ids, given.pixel_values, given.attention_mask, max_new_tokens=new
    )
    width = max(len(ids) for ids in expected)
    padded = [ids + [model.pad_id] * (width - len(ids)) for ids in expected]
    assert together[:, given.input_ids.shape[1] :].tolist() == padded
    for row, ids in enumerate(expected):
        alone = given.one(row)
        answered = model.generate(alone.input_ids, alone.pixel_values, max_new_tokens=new)
        assert answered[0, alone.input_ids.shape[1] :].tolist() == ids


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_positions_are_turned_exactly_where_half_precision_cannot_count(dtype: torch.dtype) -> None:
    """Beyond 256 bfloat16 counts in twos; at 500 its angles are off by a whole radian."""
    given = batch_of(SHAPE, [(500, 6)])
    config = HybridConfig(keep=5, aggregation_layer=1)
    exact, rounded = oracle(config, 4, dtype), oracle(config, 4, dtype, dtype)
    true = read(exact, given, 0)
    model = fast(config, 4, dtype)
    state, answer = prefill(model, given), list[int]()
    true = replace(true, kept=kept_slots(state, 0))
    errors = Errors(exact, rounded, given)
    while True:
        errors.add(0, true, answer, state.logits[0])
        model.select(state)
        answer.append(int(state.token[0]))
        if len(answer) == STEPS:
            break
        model.decode(state)
    assert_precise([errors.found([])])


def test_an_image_may_start_the_prompt() -> None:
    image, text = torch.full((PATCHES,), IMAGE_TOKEN), torch.arange(10, 17)
    ids = torch.cat([image, text])[None]
    given = Batch(ids, batch(1).pixel_values, torch.ones_like(ids))
    config = HybridConfig(keep=4, aggregation_layer=1, thresholds=SOME)
    state = prefill(fast(config, 4, torch.float32), given)
    reference = oracle(config, 4, torch.float32)
    true = read(reference, given, 0)
    assert same_merges(state, 0, true)
    assert kept_slots(state, 0) == true.kept
    allowed = rounding(4, torch.float32).logit
    assert _distance(state.logits[0], reference.next_logits(true)) <= allowed
