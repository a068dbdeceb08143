"""One wait is one too many, and 0, 1, 2 and 3 are told apart, by every way to ask."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import hybrid
from bench.base.verdict import Outcome, Verdict
from bench.gates.sync import gate as waits
from bench.gates.sync.gate import (
    NEW_TOKENS,
    Watched,
    meta_verdict,
    static_verdict,
    waits_gate,
)
from bench.gates.sync.ledger import Entry, compare
from bench.gates.sync.lint import lint_source
from bench.gates.sync.subjects import Subject
from bench.gates.sync.verdicts import syncs_gate
from bench.syncs import Report, SyncError, detect_syncs, forbid_syncs, stage
from bench.syncs.second_opinion import second_opinion
from hybrid import HybridConfig, HybridLlava
from tests.llavas import batch, random_llava

pytest_plugins = ["pytester"]

COUNTS = pytest.mark.parametrize("count", [0, 1, 2, 3])
SAID = {0: "no waits", 1: "1 wait at 1 line", 2: "2 waits at 1 line", 3: "3 waits at 1 line"}

WAYS: dict[str, Callable[[torch.Tensor], object]] = {
    "item": lambda x: x.sum().item(),
    "tolist": lambda x: x.tolist(),
    "bool": lambda x: bool(x.any()),
    "shape": lambda x: x.nonzero(),
    "mask": lambda x: x[x > 0],
    "copy": lambda x: x.cpu(),
    "upload": lambda x: torch.tensor([1.0], device=x.device),
    "synchronize": lambda _: torch.cuda.synchronize(),
}


def wait(count: int, way: str = "item") -> None:
    x = torch.ones(3)
    for _ in range(count):
        WAYS[way](x)


@COUNTS
@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_wait_is_counted_exactly(count: int, way: str) -> None:
    with detect_syncs() as report, stage("decode"):
        wait(count, way)
    assert report.count == report.in_stage("decode") == report.document()["count"] == count
    assert [finding.count for finding in report.findings] == [count] * (count > 0)
    assert report.text().partition("\n")[0] == SAID[count]


@COUNTS
def test_waits_of_different_lines_are_added_up(count: int) -> None:
    x = torch.ones(2)
    with detect_syncs() as report:
        if count > 0:
            x.tolist()
        if count > 1:
            x.nonzero()
        if count > 2:
            x.sum().item()
    assert report.count == len(report.findings) == count


@COUNTS
@pytest.mark.parametrize("way", WAYS)
def test_a_block_that_forbids_waits_passes_with_none_only(count: int, way: str) -> None:
    if count == 0:
        with forbid_syncs() as report:
            wait(0, way)
        assert report.count == 0
        return
    with pytest.raises(SyncError) as error, forbid_syncs():
        wait(count, way)
    assert error.value.report.count == count
    assert str(error.value).startswith(SAID[count])


@COUNTS
def test_on_another_device_one_wait_is_one_too_many_as_well(count: int) -> None:
    def moves() -> None:
        for _ in range(count):
            torch.ones(2).to("meta")

    with detect_syncs(device="meta") as report:
        moves()
    assert report.count == count
    if count:
        with pytest.raises(SyncError), forbid_syncs(device="meta"):
            moves()
    opinion = second_opinion(moves)
    assert (opinion.report.count, opinion.finished) == (count, True)


@COUNTS
def test_nested_blocks_count_their_own_waits_and_the_inner_ones(count: int) -> None:
    with detect_syncs() as outer:
        wait(1)
        with detect_syncs() as inner:
            wait(count)
        wait(1)
    assert (outer.count, inner.count) == (count + 2, count)
    if count:
        with detect_syncs() as outer, pytest.raises(SyncError), forbid_syncs():
            wait(count)
        assert outer.count == count


TESTS = """
import pytest
import torch

COUNTS = pytest.mark.parametrize("count", [0, 1, 2, 3])


def wait(count):
    for _ in range(count):
        torch.ones(2).tolist()


@pytest.mark.no_sync
@COUNTS
def test_marked(count):
    wait(count)


@pytest.mark.no_sync(device="meta")
@COUNTS
def test_marked_with_a_device(count):
    for _ in range(count):
        torch.ones(2).to("meta")


@COUNTS
def test_fixture(count, sync_report):
    wait(count)
    assert sync_report.count == count


@pytest.mark.no_sync
@COUNTS
def test_both(count, sync_report):
    wait(count)
    assert sync_report.count == count


@pytest.mark.no_sync
class TestOfAClass:
    @COUNTS
    def test_marked(self, count):
        wait(count)
"""


def test_a_marked_test_passes_with_no_wait_only(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TESTS)
    plugin = ("-p", "bench.syncs.plugin", "--strict-markers", "--tb=no")
    reports = pytester.inline_run(*plugin).getreports("pytest_runtest_logreport")
    outcomes = {
        report.nodeid.partition("::")[2]: report.outcome
        for report in reports
        if report.when == "call"
    }
    marked = ("test_marked", "test_marked_with_a_device", "test_both", "TestOfAClass::test_marked")
    expected = {
        f"{name}[{count}]": "failed" if count else "passed" for name in marked for count in range(4)
    }
    assert outcomes == expected | {f"test_fixture[{count}]": "passed" for count in range(4)}


def report_of(count: int) -> Report:
    x = torch.ones(2)
    with detect_syncs() as report:
        for _ in range(count):
            x.tolist()
    return report


def entry(count: int) -> Entry:
    [finding] = report_of(1).findings
    return Entry(
        scenario="run",
        file=finding.site.file,
        function=finding.site.function,
        operator=finding.operator,
        code=finding.site.source,
        count=count,
        reason="asked for",
    )


@COUNTS
@pytest.mark.parametrize("allowed", [0, 1, 2, 3])
def test_the_ledger_allows_exactly_what_it_says(count: int, allowed: int) -> None:
    ledger, report = [entry(allowed)] * (allowed > 0), report_of(count)
    [verdict] = syncs_gate({"run": report}, ledger, reproduce="nox -s sync")
    assert verdict.outcome is (Outcome.PASS if count == allowed else Outcome.FAIL)
    assert len(compare("run", report, ledger)) == (count != allowed)
    numbers = {name: verdict.numbers[name] for name in ("value", "bound", "problems")}
    assert numbers == {"value": count, "bound": allowed, "problems": count != allowed}


@pytest.fixture(scope="module")
def subject() -> Subject:
    config = HybridConfig(keep="4", aggregation_layer=1)
    return Subject("tiny_hybrid", random_llava(), config, vars(batch(1)))


@COUNTS
def test_the_gate_of_a_model_passes_with_none_beyond_the_ledger(
    subject: Subject, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waits, "load_ledger", lambda: [replace(entry(1), scenario="other")])
    monkeypatch.setattr(
        waits, "syncs_gate", lambda reports, _, reproduce: syncs_gate(reports, [], reproduce="")
    )
    watched = Watched(report_of(count), NEW_TOKENS)
    _, verdict, _ = waits_gate(subject, watched, reproduce="")
    assert verdict.outcome is (Outcome.FAIL if count else Outcome.PASS)
    assert watched.per_token == count / NEW_TOKENS


def judged(verdict: Verdict, count: int) -> bool:
    return verdict.numbers["value"] == count and verdict.outcome is (
        Outcome.FAIL if count else Outcome.PASS
    )


@COUNTS
def test_the_static_half_allows_no_spelling_that_waits(
    count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "import torch\n" + "torch.ones(1).item()\n" * count
    (tmp_path / "__init__.py").write_text(text)
    monkeypatch.setattr(hybrid, "__file__", str(tmp_path / "__init__.py"))
    assert len(lint_source(text, "x.py")) == count
    assert judged(static_verdict(reproduce=""), count)


@COUNTS
def test_the_meta_pass_allows_no_wait(
    subject: Subject, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefill = HybridLlava.prefill

    def waiting(self: HybridLlava, *args: Any) -> Any:
        for _ in range(count):
            torch.ones(2).to("meta")
        return prefill(self, *args)

    monkeypatch.setattr(HybridLlava, "prefill", waiting)
    assert judged(meta_verdict(subject, reproduce=""), count)
