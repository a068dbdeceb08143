"""`golden` and `cost` of one method: judged where there is a record, and only shown where not."""

import re
from pathlib import Path

import pytest

from bench.arms import own
from hybrid.methods.divprune import DivPrune
from tests.commands import Typed
from tests.own_methods import edited, mine

__all__ = ["mine"]
RULE = "read.of_image(read.key.float().norm(dim=-1).mean(dim=1))"
UNSURE, BAD_USE = 3, 2


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.delenv("CI", raising=False)
    return ["--work-dir", str(tmp_path / "work")]


def grids(text: str) -> list[str]:
    return re.findall(r"((?:^  [#·](?: [#·]){23}\n){24})", text, re.M)


def test_a_method_that_ships_is_judged_by_its_own_golden_alone(
    typed: Typed, work: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for keep in ([], ["--keep", "36"]):
        judged = typed("golden", "--method", "dart", *keep, *work)
        assert judged.code == 0 and "all 1 are as recorded" in judged.out
    monkeypatch.setattr("hybrid.methods.dart.PIVOTS", 5)
    other = typed("golden", "--method", "divprune", *work)
    assert other.code == 0
    wrong = typed("golden", "--method", "dart", *work)
    assert wrong.code == 1 and "1 of 1 differ from the record: method-dart" in wrong.out


def test_what_has_no_golden_is_drawn_and_unsure(typed: Typed, work: list[str], mine: Path) -> None:
    shown = typed("golden", "--method", f"{mine}:Mine", "--keep", "72", *work)
    assert shown.code == UNSURE and "PASS" not in shown.out
    assert "Mine at keep 72 has no record: it is shown, and judged by nothing" in shown.out
    assert [grid.count("#") for grid in grids(shown.out)] == [72, 72]
    edited(mine, RULE, f"-{RULE}")
    turned = typed("golden", "--method", f"{mine}:Mine", "--keep", "72", *work)
    assert turned.code == UNSURE and grids(turned.out) != grids(shown.out)
    at_nine = typed("golden", "--method", "dart", "--keep", "9", *work)
    assert at_nine.code == UNSURE and "has no record, only one at keep 36" in at_nine.out


def test_a_cost_is_judged_by_the_record_of_its_arm_alone(
    typed: Typed, work: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = typed("cost", "--method", "divprune", *work)
    assert judged.code == 0 and "all 6 are as recorded" in judged.out
    assert "\ndivprune  8      prefill" in judged.out and "visionzip" not in judged.out
    slots_of = DivPrune.slots_of
    monkeypatch.setattr(DivPrune, "slots_of", lambda self, slots: slots_of(self, slots) + 1)
    wrong = typed("cost", "--method", "divprune", *work)
    assert wrong.code == 1 and "divprune, batch-8, prefill: flops " in wrong.out


def test_what_has_no_record_of_cost_is_counted_and_unsure(
    typed: Typed, work: list[str], mine: Path
) -> None:
    shown = typed("cost", "--method", f"{mine}:Mine", "--keep", "9", *work)
    assert shown.code == UNSURE and "PASS" not in shown.out
    assert "Mine at keep 9 has no record: it is shown" in shown.out
    [share] = re.findall(r"^Mine +8 +prefill .* ([0-9.]+)x$", shown.out, re.M)
    assert 0.15 < float(share) < 0.3
    at_nine = typed("cost", "--arm", "fastv", "--keep", "9", *work)
    assert at_nine.code == UNSURE and "has no record, only one at keep 36" in at_nine.out


def test_a_gpu_s_time_is_predicted_of_a_method_beside_dense(typed: Typed, mine: Path) -> None:
    for words, kept in (
        (["--method", "divprune"], "divprune at keep 64"),
        (["--method", f"{mine}:Mine", "--keep", "9"], "Mine at keep 9"),
    ):
        shown = typed("cost", "--gpu", "h100", *words)
        assert shown.code == 0, shown
        assert f"{kept}, predicted on h100" in " ".join(shown.out.split())
        rows = [row.split() for row in shown.out.splitlines() if "prefill" in row]
        assert [row[:2] for row in rows] == [
            [name, batch] for name in ("dense", kept.split()[0]) for batch in "18"
        ]
        device = [float(row[6]) for row in rows]
        assert device[2] < device[0] and device[3] < 0.5 * device[1]


def test_what_can_t_be_shown_is_one_line(typed: Typed, work: list[str], mine: Path) -> None:
    mine.write_text(mine.read_text().replace(RULE, f"{RULE} / read.hidden.max().item()"))
    for words, line in (
        (["golden", "--method", "hybrid"], "hybrid is no method"),
        (["golden", "--method", "tome", "--keep", "1"], "tome: keep=1 has block 2 merge"),
        (["golden", "--keep", "9"], "--keep: each record has a budget of its own"),
        (["cost", "--keep", "9"], "--keep: each record has a budget of its own"),
        (["cost", "--method", "dymu", "--keep", "9"], "dymu keeps every visual token"),
        (["cost", "--method", "grid", "--keep", "none"], "--keep none: give a budget"),
        (["cost", "--regen", "--method", "grid"], "--method: --regen writes all records"),
        (["cost", "--gpu", "h100", "--method", "dymu", "--keep", "9"], "dymu keeps every visual"),
        (["cost", "--gpu", "h100", "--method", "dense", "--keep", "9"], "dense keeps every visual"),
        (
            ["cost", "--method", f"{mine}:Mine"],
            "Mine: counting keep 64 of 576 patches on tensors without values raises",
        ),
    ):
        own.forget()
        ended = typed(*words, *([] if {"--regen", "--gpu"} & {*words} else work))
        assert (ended.code, ended.out, ended.err.count("\n")) == (BAD_USE, "", 1), ended
        assert line in ended.err
    assert re.search(r"raises \w+ at mine\.py:19 ", ended.err)
