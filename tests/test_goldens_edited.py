"""A record that somebody edited is an error (2), never a pass; changed code is a failure (1)."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from torch import Tensor

import hybrid.model
from bench import cli
from bench.cost import recorded
from bench.cost.models import MODELS, model_of
from bench.gates import cost, goldens
from bench.goldens import store
from bench.goldens.cases import cases
from hybrid.rope import Layout, Spots, layout

CASE = "noise-keep-36"


def exit_code(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["bench", *arguments])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert isinstance(left.value.code, int)
    return left.value.code


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One golden, recorded anew."""
    one = {CASE: cases()[CASE]}
    monkeypatch.setattr(store, "FOLDER", tmp_path)
    monkeypatch.setattr(goldens, "FOLDER", tmp_path)
    for module in (store, goldens):
        monkeypatch.setattr(module, "cases", lambda: one)
    monkeypatch.delenv("CI", raising=False)
    assert exit_code(monkeypatch, "golden", "--regen") == 0
    return tmp_path


def change_a_digit(path: Path, behind: str) -> None:
    text = path.read_text()
    at = next(i for i in range(text.index(behind) + len(behind), len(text)) if text[i].isdigit())
    path.write_text(f"{text[:at]}{(int(text[at]) + 1) % 10}{text[at + 1 :]}")


EDITS: dict[str, Callable[[Path], object]] = {
    "a digit of a grid": lambda folder: change_a_digit(folder / f"{CASE}.txt", "[owner]"),
    "a digit of the manifest": lambda f: change_a_digit(f / "manifest.json", "fingerprint"),
    "the manifest's seal": lambda f: change_a_digit(f / "manifest.json", "sha256"),
    "a version in the manifest": lambda f: change_a_digit(f / "manifest.json", '"torch": "'),
    "no grid": lambda folder: (folder / f"{CASE}.txt").unlink(),
    "no manifest": lambda folder: (folder / "manifest.json").unlink(),
    "one grid more": lambda f: shutil.copy(f / f"{CASE}.txt", f / "another.txt"),
    "an empty manifest": lambda folder: (folder / "manifest.json").write_text("{}"),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_edited_goldens_are_an_error(
    folder: Path,
    edit: Callable[[Path], object],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    edit(folder)
    assert exit_code(monkeypatch, "golden") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {folder}")
    assert "python -m bench golden --regen" in line


def test_changed_code_fails_the_golden_gate_with_a_picture_and_the_right_code_passes(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(monkeypatch, "golden") == 0

    def moved(spots: Spots, position: Tensor) -> Layout:
        right = layout(spots, position)
        return right._replace(source=(right.source - 1).clamp(min=0))

    monkeypatch.setattr(hybrid.model, "layout", moved)
    capsys.readouterr()
    assert exit_code(monkeypatch, "golden") == 1
    said = capsys.readouterr().out.splitlines()
    drawn = said.index(
        "noise-keep-36: sample 0, position_ids before pruning: 576 of 576 patches wrong"
    )
    assert said[drawn + 1 : drawn + 25] == ["  " + " ".join("#" * 24)] * 24


@pytest.fixture(params=["llava-1.5-7b", "qwen2.5-vl-7b"])
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """A copy of recorded costs; the code costs what they say, with what they were counted."""
    versions = json.loads(recorded.path_of().read_text())["versions"]
    monkeypatch.setattr(recorded, "_versions", lambda: versions)
    costs = {model: recorded.load(model) for model in MODELS}
    copies = shutil.copytree(recorded.COSTS, tmp_path / "cost")
    monkeypatch.setattr(recorded, "COSTS", copies)
    monkeypatch.setattr(cost, "_counted", lambda model, console: costs[model])
    return copies / f"{request.param}.json"


COST_EDITS: dict[str, Callable[[Path], object]] = {
    "a digit of a count": lambda path: change_a_digit(path, '"flops"'),
    "a version": lambda path: change_a_digit(path, '"torch": "'),
    "the seal": lambda path: change_a_digit(path, "sha256"),
    "no record": Path.unlink,
    "one file more": lambda path: shutil.copy(path, path.with_name("another.json")),
    "a record of nothing": lambda path: path.write_text(json.dumps({"costs": {}})),
}


@pytest.mark.parametrize("edit", COST_EDITS.values(), ids=COST_EDITS)
def test_edited_costs_are_an_error(
    record: Path,
    edit: Callable[[Path], object],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    edit(record)
    assert exit_code(monkeypatch, "cost") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {record.parent}")


def test_other_costs_fail_the_cost_gate_and_the_same_pass(
    record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert exit_code(monkeypatch, "cost") == 0
    model = model_of(record.stem)
    costs = {each: recorded.load(each) for each in MODELS}
    costs[model]["fastv"]["batch-1"]["decode"]["launches"] += 32
    monkeypatch.setattr(cost, "_counted", lambda model, console: costs[model])
    assert exit_code(monkeypatch, "cost") == 1
    assert exit_code(monkeypatch, "cost", "--model", model.name) == 1
    assert exit_code(monkeypatch, "cost", "--model", "llava-next-7b") == 0


def test_predictions_judge_nothing_and_record_nothing(
    record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert exit_code(monkeypatch, "cost", "--gpu", "b200") == 2
    assert exit_code(monkeypatch, "cost", "--gpu", "h100", "--regen") == 2
