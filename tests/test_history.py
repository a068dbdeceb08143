"""The history of runs: nothing is lost, mixed, added twice or believed that is damaged."""

import json
import math
from dataclasses import asdict, replace
from html import escape
from pathlib import Path

import pytest

from bench.base.checkout import git
from bench.base.errors import UserError
from bench.base.verdict import Outcome
from bench.cost.spending import TITLE, Budget
from bench.report.history.page import headline, write_history_page
from bench.report.history.select import machine_name, select
from bench.report.history.series import all_series, series_cells
from bench.report.history.spent import all_spent, changes
from bench.report.history.store import (
    Entry,
    History,
    append,
    history_file,
    last_green,
    read_history,
    read_report,
)
from bench.report.origin import Origin, machine_here
from bench.report.write import write_report
from tests.commands import Typed
from tests.reports import verdict

MACHINE = {"cpu": "a processor", "cores": "2", "gpu": "none", "torch": "2.13.0"}


SPENT = Budget(36, 43.75, 10**9, 512_000)
LESS = Budget(32, 40.25, 10**9 - 1, 480_000)


def entry(
    value: float | None = 0.6,
    *,
    day: int = 1,
    commit: str | None = "ab" * 20,
    outcome: Outcome = Outcome.PASS,
    machine: dict[str, str] = MACHINE,
    keep: str = "36",
    spent: Budget | None = None,
) -> Entry:
    origin = Origin(
        commit=commit,
        dirty=False,
        time=f"2026-01-{day:02d}T00:00:00+00:00",
        machine=machine,
        settings={"keep": keep},
    )
    low, high = (None, None) if value is None else (value - 0.01, value + 0.01)
    numbers = {"value": value, "low": low, "high": high, "bound": 0.9}
    found = {"gate": "latency/hybrid/answer", "outcome": str(outcome), "numbers": numbers}
    budgets = None if spent is None else {"hybrid": spent}
    return Entry(title="latency", origin=origin, verdicts=(found,), budgets=budgets)


def test_what_is_added_is_read_back_in_order_and_the_file_only_grows(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "history.jsonl"
    entries = [entry(day=1), entry(0.7, day=2, spent=SPENT), entry(None, day=3)]
    before = b""
    for each in entries:
        assert append(path, each)
        content = path.read_bytes()
        assert content.startswith(before) and len(content) > len(before)
        before = content
    assert read_history(path) == History(tuple(entries))


def test_a_report_is_added_once(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    assert append(path, entry())
    assert not append(path, entry())
    assert len(read_history(path).entries) == 1


def test_a_torn_last_line_is_left_out_said_and_cut_off_by_the_next_run(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    append(path, entry(day=1))
    append(path, entry(day=2))
    path.write_bytes(path.read_bytes()[:-20])
    history = read_history(path)
    assert history.torn and history.entries == (entry(day=1),)
    assert any("torn" in note for note in select(history, "a processor").notes)
    append(path, entry(day=3))
    assert read_history(path) == History((entry(day=1), entry(day=3)))


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "{}",
        '{"title": "latency", "origin": {}, "verdicts": []}',
        entry().line().decode().replace("0.6,", "NaN,"),
        entry().line().decode().replace('"PASS"', '"GREEN"'),
        entry().line().decode().replace('"dirty": false', '"dirty": "no"'),
        entry().line().decode().replace("2026-01-01T", "yesterday "),
        entry(spent=SPENT).line().decode().replace('"tokens": 36', '"tokens": "36"'),
        entry(spent=SPENT).line().decode().replace('"tokens": 36, ', ""),
    ],
)
def test_a_damaged_line_is_named_by_its_number(tmp_path: Path, line: str) -> None:
    path = tmp_path / "history.jsonl"
    path.write_bytes(entry().line() + line.strip().encode() + b"\n" + entry().line())
    with pytest.raises(UserError, match=r"history.jsonl: line 2") as caught:
        read_history(path)
    assert "\n" not in str(caught.value)


def test_a_missing_or_unreadable_history_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="history add"):
        read_history(tmp_path / "none.jsonl")
    with pytest.raises(UserError, match="can't be read"):
        read_history(tmp_path)
    with pytest.raises(UserError, match="can't be written"):
        append(tmp_path, entry())


def test_the_file_is_the_option_then_the_variable_then_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("VLM_HYBRID_HISTORY", raising=False)
    assert history_file() == Path("outputs/history.jsonl")
    monkeypatch.setenv("VLM_HYBRID_HISTORY", "mine.jsonl")
    assert history_file() == Path("mine.jsonl")
    assert history_file(Path("other.jsonl")) == Path("other.jsonl")


def test_a_written_report_can_be_added_with_where_it_is_from(tmp_path: Path) -> None:
    settings, budgets = {"profile": "tiny"}, {"hybrid": SPENT}
    judged = [verdict(Outcome.PASS)]
    write_report(tmp_path, judged, title="latency", settings=settings, budgets=budgets)
    (found,) = read_report(tmp_path)
    assert found.budgets == budgets
    assert found.title == "latency" and found.green
    assert found.origin.settings == {"profile": "tiny"}
    assert found.origin.machine == machine_here()
    assert found.verdicts[0]["numbers"]["value"] == 0.62


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("latency-verdicts.json", None),
        ("latency-origin.json", None),
        ("latency-verdicts.json", "[]"),
        ("latency-verdicts.json", '[{"gate": "g", "outcome": "PASS", "numbers": {"value": NaN}}]'),
        ("latency-origin.json", "[]"),
        ("latency-origin.json", "{"),
    ],
)
def test_half_a_report_is_refused(tmp_path: Path, name: str, content: str | None) -> None:
    write_report(tmp_path, [verdict(Outcome.PASS)], title="latency")
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match="measure"):
        read_report(tmp_path)


def test_machines_are_never_mixed() -> None:
    other = MACHINE | {"gpu": "H100"}
    history = History((entry(day=1), entry(day=2, machine=other), entry(day=3)))
    chosen = select(history, machine_name(MACHINE))
    assert [each.origin.time[8:10] for each in chosen.entries] == ["01", "03"]
    assert chosen.notes == ["1 runs of 1 other machines are left out"]
    assert len(select(history, "H100").entries) == 1
    with pytest.raises(UserError, match="fits 2 of"):
        select(history, "a processor")
    with pytest.raises(UserError, match="no run of this machine"):
        select(history)
    with pytest.raises(UserError, match="empty"):
        select(History(()))


def test_other_settings_are_another_series() -> None:
    series = all_series([entry(keep="18"), entry(keep="36"), entry(keep="18", day=2)])
    assert [(one.settings, len(one.runs)) for one in series] == [("keep 18", 2), ("keep 36", 1)]


def test_a_planted_slowdown_is_a_step_told_in_percent_at_its_commit() -> None:
    wiggle = (0.0, 0.004, -0.003, 0.002, -0.004, 0.001)
    values = [0.6 * math.exp(wiggle[day % 6] + 0.1 * (day > 9)) for day in range(1, 19)]
    entries = [entry(v, day=d, commit=f"{d:040x}") for d, v in enumerate(values, start=1)]
    (series,) = all_series(entries)
    ((run, text),) = series.steps
    assert run.origin.commit == f"{10:040x}"
    assert float(text.rstrip("%")) == pytest.approx(100 * math.expm1(0.1), abs=0.6)
    assert f"{text} at {run.label}" in series_cells(series)
    assert headline([series]) == "1 step in 1 series"


def test_runs_without_a_value_are_counted_and_draw_nothing(tmp_path: Path) -> None:
    (series,) = all_series([entry(None, day=1), entry(None, day=2)])
    assert series.unmeasured == 2
    assert "0 and 2 without a value" in series_cells(series)
    path = tmp_path / "page.html"
    write_history_page(path, [series], [], machine=MACHINE, notes=[])
    assert "<svg" not in path.read_text()


def test_a_changed_budget_is_told_at_its_run_and_an_older_run_has_none() -> None:
    commits = [f"{number}" * 40 for number in range(1, 6)]
    budgets = (None, SPENT, SPENT, None, LESS)
    entries = [
        entry(day=day, commit=commit, spent=spent)
        for day, (commit, spent) in enumerate(zip(commits, budgets, strict=True), start=1)
    ]
    change = (
        "tokens 36 -> 32, a layer 43.8 -> 40.2, FLOPs 1000000000 -> 999999999,"
        " cache 512 kB -> 480 kB"
    )
    assert changes(entries) == [{}, {}, {}, {}, {"hybrid": change}]
    (one,) = all_spent(entries)
    told = ["3 and 2 not recorded", *LESS.cells, f"{change} at 5555555"]
    assert one.cells == ["latency", "hybrid", "keep 36", *told]
    (series,) = all_series(entries)
    assert [run.changes for run in series.runs] == ["", "", "", "", f"hybrid: {change}"]
    (one,) = all_spent(entries[:4])
    assert one.cells[3:] == ["2 and 2 not recorded", *["not recorded"] * 4, "none"]
    (one,) = all_spent(entries[:1])
    assert one.cells[1:] == ["", "keep 36", "0 and 1 not recorded", *["not recorded"] * 4, ""]
    fewer = entry(day=6, spent=replace(SPENT, flops=10**9 - 1))
    assert changes([entries[2], fewer])[1] == {"hybrid": "FLOPs 1000000000 -> 999999999"}
    other = entry(day=6, keep="18", spent=LESS)  # other settings are no change
    assert changes([entries[1], other]) == [{}, {}]
    assert all_spent([replace(entries[0], budgets={})]) == []


def test_a_step_with_another_budget_says_so(tmp_path: Path) -> None:
    values = [0.6 + 0.004 * (day % 3) + 0.1 * (day > 9) for day in range(1, 19)]
    entries = [
        entry(value, day=day, commit=f"{day:040x}", spent=SPENT if day > 9 else LESS)
        for day, value in enumerate(values, start=1)
    ]
    (series,) = all_series(entries)
    ((run, text),) = series.steps
    assert f"{text} at {run.label}, with another budget" in series_cells(series)
    path = tmp_path / "page.html"
    write_history_page(path, [series], all_spent(entries), machine=MACHINE, notes=[])
    page = path.read_text()
    assert page.count(f"<td>{escape(run.changes)}</td>") == 1
    assert page.count(">budget</text>") == 1
    assert f" at {run.label}</td>" in page.split("<h2>Budgets</h2>")[1]


def here(commit: str | None, keep: str = "36") -> Origin:
    return replace(entry(keep=keep).origin, commit=commit)


def test_the_last_green_commit_is_one_before_this_on_this_machine_with_these_settings(
    tmp_path: Path,
) -> None:
    shas = (git("log", "--format=%H", "-3") or "").split()
    if len(shas) < 3:
        pytest.skip("needs a checkout with three commits")
    new, middle, old = shas
    path = tmp_path / "history.jsonl"
    assert last_green(path, "latency", here(new)) is None
    append(path, entry(day=1, commit=old))
    append(path, entry(day=2, commit=middle, outcome=Outcome.FAIL))
    append(path, entry(day=3, commit=middle, keep="18"))
    append(path, entry(day=4, commit=middle, machine=MACHINE | {"cores": "8"}))
    append(path, entry(day=5, commit="0" * 40))  # no ancestor
    append(path, entry(day=6, commit=new))
    assert last_green(path, "latency", here(new)) == old
    assert last_green(path, "accuracy", here(new)) is None
    assert last_green(path, "latency", here(old)) is None


def test_the_command_adds_prints_and_draws(tmp_path: Path, typed: Typed) -> None:
    budgets = {"hybrid": SPENT}
    write_report(tmp_path, [verdict(Outcome.PASS)], title="latency", budgets=budgets)
    file = str(tmp_path / "history.jsonl")
    added = typed("history", "add", str(tmp_path), "--file", file)
    assert added.code == 0 and "added to" in added.out
    shown = typed("history", "--file", file)
    assert shown.code == 0, shown.err
    assert "batch-8/latency/hybrid/answer" in shown.out
    told = shown.out.split(TITLE)[1].splitlines()[2].split()
    assert told == ["latency", "hybrid", "1", "36", "43.8", "1", "G", "512", "kB"]
    assert "512 kB" in (tmp_path / "history.html").read_text()
    line = json.loads((tmp_path / "history.jsonl").read_text())
    assert len(line["verdicts"]) == 1 and line["budgets"] == {"hybrid": asdict(SPENT)}


def test_the_command_without_a_history_exits_with_2_and_one_line(
    tmp_path: Path, typed: Typed
) -> None:
    done = typed("history", "--file", str(tmp_path / "none.jsonl"))
    assert done.code == 2
    assert done.err.startswith("error: no history at") and done.err.count("\n") == 1
