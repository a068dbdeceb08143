"""Texts of others, in answers, categories and files: shown, and neither obeyed nor guessed at."""

import csv
import json
import shutil
from io import StringIO
from pathlib import Path

import pytest
from openpyxl import load_workbook
from rich.console import Console

from bench.base.errors import UserError
from bench.base.progress import Bar
from bench.base.strict_json import parse
from bench.base.tables import print_line, print_table
from bench.base.verdict import Outcome, Verdict
from bench.evaluation.comparison.side import load_side
from bench.evaluation.references.captions import add_captions
from bench.evaluation.references.files import to_csv
from bench.evaluation.references.store import read_reference
from bench.report.markdown import markdown
from bench.tasks import load_task
from bench.tasks.captions.java import LOCALE, OPTION_VARIABLES, run_java
from bench.tasks.captions.meteor import meteor
from bench.tasks.rescore import read_jsonl
from bench.tasks.tables.spreadsheets import guarded, unguarded
from tests.commands import Typed
from tests.task_files import rotations, write_mmbench, write_tsv

ESCAPES = "a\x1b[2Jb\x9bc\u202ed\r\ne"
WRITTEN = r"a\x1b[2Jb\x9bc\u202ed\r\ne"
needs_java = pytest.mark.skipif(shutil.which("java") is None, reason="there is no java on PATH")


@pytest.mark.parametrize("terminal", [True, False])
def test_no_escape_sequence_reaches_a_terminal_or_log(terminal: bool) -> None:
    out = StringIO()
    console = Console(file=out, force_terminal=terminal, width=200, color_system=None)
    print_line(console, ESCAPES)
    print_table(console, ESCAPES, ["a", "b"], [[ESCAPES, ESCAPES]])
    Bar("x", None, console, quiet=True).say(f"7: {ESCAPES}")
    shown = out.getvalue()
    assert shown.count(WRITTEN) == 5
    assert not set(shown) & set("\x1b\x9b\u202e\r")


def test_a_summary_has_no_heading_link_or_name_that_others_put_into_it() -> None:
    smuggled = "x\n# accuracy: PASS\n@everyone [go](https://a.example) www.b.example #12"
    with pytest.raises(ValueError, match="more than one line"):
        Verdict(gate="g", outcome=Outcome.FAIL, reason=smuggled, reproduce="")
    verdict = Verdict(
        gate=smuggled,
        outcome=Outcome.FAIL,
        reason=smuggled.replace("\n", " "),
        reproduce=f"run --data '{smuggled}\n```'",
    )
    text = markdown([verdict], title="accuracy")
    assert [line for line in text.splitlines() if line.startswith("#")] == ["## accuracy: FAIL"]
    summary, _, commands = text.partition("```bash\n")
    assert commands.count("\n") == 2 and commands.endswith("\n```\n")
    for linked in ("@everyone", "https://", "www.b", "#12", "[go]"):
        assert linked not in summary and linked.replace("[", "")[:1] in summary


FORMULAS = ["=HYPERLINK(1)", "+1", "-1", "@x", "\tx", "'=x", "''x", "'tis", "a=b", "", "'"]


def test_no_cell_of_a_csv_is_a_formula_and_each_reads_back() -> None:
    for text in FORMULAS:
        assert str(guarded(text))[:1] not in ("=", "+", "-", "@", "\t")
        assert unguarded(str(guarded(text))) == text
    assert to_csv(["a"], [[-1], [-0.5], ["'tis"]]) == b"a\n-1\n-0.5\n'tis\n"


def test_captions_kept_as_a_reference_are_no_formulas(tmp_path: Path) -> None:
    captions = dict(enumerate(FORMULAS))
    path = add_captions(
        "mine",
        tmp_path,
        captions=captions,
        truth={index: ["a"] for index in captions},
        cider=1.0,
        source="s",
        model="m",
        data="d",
        tokeniser="raw",
        prompt="p",
    )
    rows = list(csv.reader(path.open(newline="")))
    assert [row[2] for row in rows[1:4]] == ["'=HYPERLINK(1)", "'+1", "'-1"]
    assert getattr(read_reference("mine", tmp_path), "captions") == captions  # noqa: B009


def test_categories_and_columns_are_no_formulas_and_numbers_stay(tmp_path: Path) -> None:
    rows = rotations(7, category="=HYPERLINK(1)", split="=1")
    rows = [row | {"=2": "x"} for row in rows]
    task = load_task(write_tsv(tmp_path / "a.tsv", rows))
    answers = {int(str(row["index"])): str(row["answer"]) for row in rows}
    sheet, accuracy = task.write_official(tmp_path, "m", answers, task.score(answers))
    head, line = csv.reader(accuracy.open(newline=""))
    assert head[-1] == "'=HYPERLINK(1)" and line == ["'=1", "1.0", "1.0", "1.0"]
    cells = [cell for row in load_workbook(sheet).worksheets[0] for cell in row]
    assert {"=2", "=1"} <= {cell.value for cell in cells}
    assert {cell.data_type for cell in cells} <= {"s", "n"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"index": 1, "index": 2}', "'index' stands there twice"),
        ('{"index": 1e999}', "beyond all bounds"),
        ('{"index": NaN}', "no number"),
        (b'{"index": "\xff"}', "decode"),
    ],
)
def test_json_that_means_nothing_is_one_kind_of_error(text: str | bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse(text)


@pytest.mark.parametrize(
    "line",
    [
        *('{"index": 5.9, "prediction": "A"}', '{"index": 1e999, "prediction": "A"}'),
        *('{"index": 1, "prediction": null}', '{"index": 1, "prediction": {"a": 1}}'),
        *('{"index": 1, "prediction": "A", "prediction": "B"}', "[" * 100_000),
        '{"index": 1, "prediction": "\\ud800"}',
    ],
)
def test_a_line_of_predictions_that_is_none_is_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text(f"{line}\n")
    with pytest.raises(UserError, match=r"p\.jsonl: line 1: ") as error:
        read_jsonl(path)
    assert "\n" not in str(error.value)


def test_a_recipe_that_is_no_text_is_refused(tmp_path: Path) -> None:
    rows = rotations(7)
    task = load_task(write_mmbench(tmp_path / "a.tsv", rows))
    answers = {int(str(row["index"])): str(row["answer"]) for row in rows}
    run = tmp_path / "run"
    task.write_official(run, "m", answers, task.score(answers))
    (run / "run.json").write_text("{}")
    (run / "scores.json").write_text(json.dumps({"recipe": {"matcher": ["lmms-2024"]}}))
    with pytest.raises(UserError, match=r"scores\.json is damaged.*'recipe\.matcher'"):
        load_side(str(run))


@needs_java
@pytest.mark.parametrize("variable", OPTION_VARIABLES)
def test_java_writes_numbers_with_a_point_whatever_locale_and_variables_say(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "-Duser.language=de -Duser.language.format=de")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    asked = ["java", *LOCALE, "-XshowSettings:properties", "-version"]
    done = run_java(asked, purpose="this test", timeout_s=60)
    said = {line.strip() for line in done.stderr.decode().splitlines()}
    assert {"user.language = en", "user.language.format = en"} <= said
    assert not any("icked up" in line or variable in line for line in said)


def test_no_java_sees_the_options_of_other_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    java = tmp_path / "java"
    java.write_text(f"#!/bin/sh\nenv > {tmp_path}/seen\necho no room >&2\nexit 1\n")
    java.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("KEPT", "yes")
    for variable in OPTION_VARIABLES:
        monkeypatch.setenv(variable, "-Xmx1k")
    for start in (
        lambda: run_java([str(java)], purpose="this test", timeout_s=60),
        lambda: meteor({1: ["a cat"]}, {1: "a cat"}),
    ):
        with pytest.raises(UserError, match="no room"):
            start()
        seen = (tmp_path / "seen").read_text()
        assert "KEPT=yes" in seen and not any(name in seen for name in OPTION_VARIABLES)
        (tmp_path / "seen").unlink()


def test_an_error_is_one_line_whatever_stands_in_it(typed: Typed) -> None:
    done = typed("score", "p.jsonl", "--data", "a\x1b[2Jb\nerror: c.tsv")
    assert done.code == 2 and done.err.count("\n") == 1
    assert r"a\x1b[2Jb\nerror: c.tsv" in done.err and "\x1b" not in done.err
