"""The hybrid model waits only to read the answer back, and a planted wait turns the gate red."""

import itertools
from typing import Any, Literal

import pytest
import torch

import hybrid.language
import hybrid.model
import hybrid.pruning
import hybrid.vision
from bench.base.verdict import Outcome
from bench.gates.sync.ledger import load_ledger
from bench.gates.sync.scenarios import hybrid_stages, watch_hybrid, watch_transformers
from bench.gates.sync.verdicts import syncs_gate
from bench.syncs import Report, detect_syncs
from hybrid import HybridConfig, HybridLlava, hybridize
from tests.llavas import VISION_BLOCKS, Longest, batch, in_turns, random_llava

NEW_TOKENS = 5
Rope = Literal["logical", "compact"]
Prune = Literal["drop", "mask"]
MERGING = (0.5,) * VISION_BLOCKS
ONE: dict[str, Any] = vars(batch(1))
TWO: dict[str, Any] = vars(batch(2))
ROPES: tuple[Rope, ...] = ("logical", "compact")
PRUNES: tuple[Prune, ...] = ("drop", "mask")
CONFIGS = [
    HybridConfig(
        keep=keep,
        aggregation_layer=1,
        thresholds=thresholds,
        capacity=12 if thresholds else None,
        rope=rope,
        prune=prune,
    )
    for keep, thresholds, rope, prune in itertools.product(
        ("4", "0.7"), (None, MERGING), ROPES, PRUNES
    )
] + [
    HybridConfig(keep="none"),
    HybridConfig(keep="none", thresholds=MERGING),
    HybridConfig(keep="none", thresholds=MERGING, rope="virtual"),
]


def _name(value: object) -> str:
    if not isinstance(value, HybridConfig):
        return f"longest-{value}"
    merging = "merged" if value.thresholds else "unmerged"
    return f"{value.keep}-{merging}-{value.rope}-{value.prune}"


@pytest.fixture(scope="module")
def llava() -> Any:
    return random_llava()


def report_of(model: HybridLlava, inputs: dict[str, Any] = ONE) -> Report:
    return watch_hybrid(model, **inputs, max_new_tokens=NEW_TOKENS)[0]


def gate(report: Report) -> Outcome:
    [verdict] = syncs_gate({"hybrid generate": report}, load_ledger(), reproduce="nox -s sync")
    return verdict.outcome


@pytest.mark.parametrize(
    ("config", "longest"), [(config, in_turns(i)) for i, config in enumerate(CONFIGS)], ids=_name
)
def test_generate_waits_only_for_the_read_back(
    llava: Any, config: HybridConfig, longest: Longest
) -> None:
    report = report_of(hybridize(llava, config), vars(batch(3, longest)))
    assert gate(report) is Outcome.PASS, report.text()
    assert report.in_stage("prefill") == report.in_stage("decode") == 0


@pytest.mark.parametrize("rank", ["random", "lowest"])
def test_other_rankings_do_not_wait_either(llava: Any, rank: Any) -> None:
    model = hybridize(llava, HybridConfig(keep="4", aggregation_layer=1, rank=rank))
    assert gate(report_of(model)) is Outcome.PASS


def test_between_upload_and_read_back_there_is_no_wait_at_all(llava: Any) -> None:
    model = hybridize(llava, HybridConfig(keep="4", aggregation_layer=1, thresholds=MERGING))
    inputs = model.place(**TWO)
    with hybrid_stages(model), detect_syncs() as report:
        model.generate_no_sync(inputs, NEW_TOKENS)
    assert report.count == 0, report.text()


def test_stopping_early_does_not_wait(llava: Any) -> None:
    model = hybridize(llava, HybridConfig(keep="4", aggregation_layer=1))
    [first] = model.generate(**ONE, max_new_tokens=1)[:, -1].tolist()
    model.end_ids = [first]
    report, ids = watch_hybrid(model, **ONE, max_new_tokens=NEW_TOKENS)
    assert ids.shape[1] == ONE["input_ids"].shape[1] + 1
    assert gate(report) is Outcome.PASS, report.text()


def reads(function: Any) -> Any:
    def planted(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        torch.ones(2).sum().item()  # planted
        return result

    return planted


@pytest.mark.parametrize(
    ("owner", "name", "stage"),
    [
        (hybrid.vision.VisionTower, "look", "prefill vision"),
        (hybrid.pruning, "keep_top", "prefill"),
        (hybrid.language.Language, "attend", "prefill layer 2"),
        (hybrid.model.HybridLlava, "decode", "decode step 1"),
    ],
    ids=["vision", "pruning", "layer", "decode"],
)
def test_a_planted_item_turns_the_gate_red(
    llava: Any, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, stage: str
) -> None:
    monkeypatch.setattr(owner, name, reads(getattr(owner, name)))
    model = hybridize(llava, HybridConfig(keep="4", aggregation_layer=1))
    report = report_of(model)
    assert gate(report) is Outcome.FAIL
    [finding] = [f for f in report.findings if f.site.source.endswith("# planted")]
    assert finding.operator == "Tensor.item"
    assert stage in finding.stages


def test_transformers_own_generate_is_found_waiting_once_a_token(llava: Any) -> None:
    report, ids = watch_transformers(llava, ONE, max_new_tokens=NEW_TOKENS)
    new_tokens = ids.shape[1] - ONE["input_ids"].shape[1]
    assert report.count >= new_tokens + 6


def test_watching_leaves_the_model_as_it_was(llava: Any) -> None:
    model = hybridize(llava, HybridConfig(keep="4", aggregation_layer=1))
    before = dict(vars(model))
    plain = model.generate(**TWO, max_new_tokens=NEW_TOKENS)
    _, watched = watch_hybrid(model, **TWO, max_new_tokens=NEW_TOKENS)
    assert vars(model) == before
    assert torch.equal(plain, watched)
