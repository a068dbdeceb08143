"""Every mode of the hybrid, whole answers: no wait before the read-back, and exactly one of those.

Prompts of different lengths, padded on the left; answers that end early, at the very end, never.
"""

from dataclasses import replace
from itertools import cycle
from typing import Any

import pytest

from bench.gates.sync.scenarios import hybrid_stages, watch_hybrid
from bench.syncs import Report, detect_syncs
from hybrid import HybridConfig, HybridLlava, hybridize
from hybrid.state import Trace
from tests.llavas import VISION_BLOCKS, Longest, batch, in_turns, random_llava

NEW_TOKENS = 5
MERGING = (0.5,) * VISION_BLOCKS
SIZES = (1, 4)
ENDS = ("early", "at the end", "never")


def modes() -> list[HybridConfig]:
    """Budgets by merging by capacity; positions, ways to prune and ranks take turns."""
    made = []
    ropes, prunes = cycle(("logical", "compact")), cycle(("drop", "mask", "mask", "drop"))
    ranks, layers = cycle(("attention", "random", "lowest")), cycle((0, 1, 3, 2))
    for keep in ("1", "4", "50", "0.7"):
        for thresholds, capacity in ((None, None), (MERGING, None), (MERGING, 12)):
            settings: dict[str, Any] = {
                "rope": next(ropes),
                "prune": next(prunes),
                "rank": next(ranks),
                "aggregation_layer": next(layers),
            }
            made.append(
                HybridConfig(keep=keep, thresholds=thresholds, capacity=capacity, **settings)
            )
    for thresholds, capacity in ((None, None), (MERGING, None), (MERGING, 12)):
        unpruned = HybridConfig(thresholds=thresholds, capacity=capacity)
        made += [unpruned, replace(unpruned, rope="compact")]
        if thresholds is not None:
            made.append(replace(unpruned, rope="virtual"))
    return made


def name(value: object) -> str:
    if not isinstance(value, HybridConfig):
        return str(value)
    merging = "unmerged" if value.thresholds is None else f"merged-to-{value.capacity or 'any'}"
    words = [f"keep-{value.budget}", merging, value.rope, value.prune, value.rank]
    return "-".join([*words, f"layer-{value.aggregation_layer}"])


CASES = [
    (config, size, in_turns(i), end)
    for i, config in enumerate(modes())
    for size, end in zip(SIZES, (ENDS[i % 3], ENDS[(i + 1) % 3]), strict=True)
]


def end_answers(model: HybridLlava, given: dict[str, Any], end: str) -> int:
    """Choose the end tokens so that answers end as asked; returns how many tokens are left."""
    model.end_ids = []
    ids = model.generate(**given, max_new_tokens=NEW_TOKENS)
    answers = ids[:, given["input_ids"].shape[1] :].tolist()
    if end == "never":
        return NEW_TOKENS
    if end == "early":
        model.end_ids = sorted({answer[1] for answer in answers})
    else:
        model.end_ids = [answers[0][-1]]
    lengths = []
    for answer in answers:
        stops = [i for i, token in enumerate(answer) if token in model.end_ids]
        lengths.append(stops[0] + 1 if stops else NEW_TOKENS)
    return max(lengths)


@pytest.fixture(scope="module")
def llava() -> Any:
    return random_llava()


def assert_one_read_back(report: Report) -> None:
    [finding] = report.findings
    assert (finding.operator, finding.count) == ("Tensor.to", 1), report.text()
    assert finding.stages == {"read-back": 1}


@pytest.mark.parametrize(("config", "size", "longest", "end"), CASES, ids=name)
def test_an_answer_is_read_back_once_and_nothing_else_waits(
    llava: Any, config: HybridConfig, size: int, longest: Longest, end: str
) -> None:
    model, given = hybridize(llava, config), vars(batch(size, longest))
    length = end_answers(model, given, end)
    report, ids = watch_hybrid(model, **given, max_new_tokens=NEW_TOKENS)
    assert ids.shape[1] == given["input_ids"].shape[1] + length
    assert length < NEW_TOKENS or end != "early"
    assert_one_read_back(report)


@pytest.mark.parametrize("size", SIZES)
def test_a_trace_stays_on_the_device_and_costs_no_wait(llava: Any, size: int) -> None:
    config = HybridConfig(keep="4", aggregation_layer=1, thresholds=MERGING)
    model, given = hybridize(llava, config), vars(batch(size))
    with hybrid_stages(model), detect_syncs() as report:
        _, trace = model.generate(**given, max_new_tokens=NEW_TOKENS, trace=True)
    assert isinstance(trace, Trace)
    assert_one_read_back(report)


def test_a_second_answer_is_watched_like_the_first(llava: Any) -> None:
    """The stage in which the first one ended is over when the second begins."""
    model = hybridize(llava, HybridConfig(keep="4", aggregation_layer=1))
    batches = [vars(batch(size)) for size in SIZES]
    with hybrid_stages(model), detect_syncs() as report:
        for given in batches:
            model.generate(**given, max_new_tokens=2)
    [finding] = report.findings
    assert finding.stages == {"read-back": 2}
