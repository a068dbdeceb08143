"""The ledger: new, more and stale waits fail, and a broken ledger is one clear error."""

from pathlib import Path

import pytest
import torch

from bench.base.errors import UserError
from bench.base.verdict import Outcome
from bench.gates.sync.ledger import Entry, compare, load_ledger
from bench.gates.sync.verdicts import syncs_gate
from bench.syncs import Report, detect_syncs


def waits(times: int) -> Report:
    x = torch.ones(2)
    with detect_syncs() as report:
        for _ in range(times):
            x.tolist()  # this comment may change
    return report


def entry(count: int, code: str = "x.tolist()") -> Entry:
    return Entry(
        scenario="run",
        file=waits(1).findings[0].site.file,
        function="waits",
        operator="Tensor.tolist",
        code=code,
        count=count,
        reason="asked for",
    )


@pytest.mark.parametrize(
    ("report", "ledger", "problem"),
    [
        (waits(2), [entry(2)], None),
        (waits(0), [], None),
        (waits(1), [], "new: "),
        (waits(3), [entry(2)], "more: "),
        (waits(1), [entry(2)], "stale: "),
        (waits(0), [entry(2)], "stale: "),
        (waits(2), [entry(2, code="y.tolist()")], "new: "),
    ],
    ids=["agrees", "nothing", "new", "more", "less", "gone", "moved"],
)
def test_a_run_must_match_the_ledger(
    report: Report, ledger: list[Entry], problem: str | None
) -> None:
    [verdict] = syncs_gate({"run": report}, ledger, reproduce="nox -s sync")
    assert verdict.outcome is (Outcome.PASS if problem is None else Outcome.FAIL)
    assert problem is None or verdict.reason.startswith(problem)


def test_entries_of_other_scenarios_allow_nothing() -> None:
    assert compare("another run", waits(1), [entry(1)])[0].startswith("new: ")


def test_watching_nothing_is_an_error() -> None:
    with pytest.raises(UserError, match="no run was watched"):
        syncs_gate({}, [], reproduce="")


def test_an_entry_of_a_scenario_that_was_not_run_is_an_error() -> None:
    with pytest.raises(UserError, match="'run', which was not run"):
        syncs_gate({"other": waits(0)}, [entry(1)], reproduce="")


GOOD = """
[[wait]]
scenario = "run"
file = "a.py"
function = "f"
operator = "Tensor.item"
code = "x.item()"
count = 1
reason = "because"
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD.replace('reason = "because"', ""), "wait 1: reason is missing"),
        (GOOD.replace("because", ""), "wait 1: reason = ''"),
        (GOOD.replace("count = 1", "count = 0"), "wait 1: count = 0"),
        (GOOD.replace("count = 1", 'count = "1"'), "wait 1: count = '1'"),
        (GOOD.replace("count = 1", "count = true"), "wait 1: count = True"),
        (GOOD + 'owner = "me"\n', "wait 1: owner is not a known field"),
        (GOOD + GOOD, "wait 2 is there twice"),
        ("[[wait", "not a readable TOML file"),
        ("[other]\n", "only .*wait.* entries are known"),
    ],
)
def test_a_broken_ledger_is_one_line_that_names_the_entry(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "ledger.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message) as error:
        load_ledger(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_ledger_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a readable TOML file"):
        load_ledger(tmp_path / "none.toml")


def test_the_committed_ledger_is_well_formed() -> None:
    assert all(entry.reason for entry in load_ledger())
