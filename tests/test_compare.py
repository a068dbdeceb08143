"""Two runs are compared only where that means something, and the numbers are the paired ones."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.base.errors import UserError
from bench.cli import main
from bench.cost.spending import Budget
from bench.evaluation.comparison.compare import Comparison, compare, print_comparison
from bench.evaluation.comparison.recorded import cut
from bench.evaluation.comparison.same import demand_same_model
from bench.evaluation.comparison.side import Side, load_side
from bench.evaluation.references.record import add_run
from bench.evaluation.runs.margins import FILE as MARGINS
from bench.evaluation.runs.margins import Tops, line
from bench.evaluation.runs.predictions import merge, seal
from bench.evaluation.statistics.paired import Pairs, difference_interval
from bench.report.comparison.page import write_page
from bench.tasks.mmbench import ROTATION
from tests.commands import Typed
from tests.compare_runs import captions_xlsx, questions_xlsx, run_folder
from tests.task_files import RECORDED, needs_recorded

DENSE, HYBRID = "llava_v1.5_7b", "llava_v1.5_7b_hybrid"


def compared(before: Path | str, after: Path | str, **options: str) -> Comparison:
    sides = [load_side(str(source), matcher=options.get("matcher")) for source in (before, after)]
    return compare(sides[0], sides[1])


def refusal(before: Path | str, after: Path | str) -> str:
    with pytest.raises(UserError) as caught:
        compared(before, after)
    message = str(caught.value)
    assert "\n" not in message
    return message


def recorded(run: str, data: str) -> Path:
    (path,) = (RECORDED / run).glob(f"*_{data}.xlsx")
    return path


@needs_recorded
def test_the_recorded_mmbench_runs_pair_as_recorded() -> None:
    found = compared(recorded("dense", "MMBench_DEV_EN"), recorded("hybrid", "MMBench_DEV_EN"))
    row = found.rows[0]
    assert (row.before, row.after) == (0.6280068728522337, 0.5558419243986255)
    assert (row.lost, row.gained, row.n) == (125, 41, 1164)
    assert (row.low, row.high) == difference_interval(Pairs(lost=125, gained=41, n=1164))
    assert len(found.lost) == 125 and len(found.gained) == 41
    for level in ("l2-category", "category"):
        rows = [row for row in found.categories if row.level == level]
        assert sum(row.lost for row in rows) == 125 and sum(row.n for row in rows) == 1164
    assert found.before.name == DENSE and found.before.data == "MMBench_DEV_EN"
    assert [row.category for row in found.categories if row.worse] == [
        "finegrained_perception (instance-level)",
        "attribute_reasoning",
        "celebrity_recognition",
        "image_style",
    ]


@needs_recorded
def test_a_file_and_the_reference_made_of_it_do_not_differ() -> None:
    found = compared(recorded("dense", "MMBench_DEV_EN"), f"{DENSE}_MMBench_DEV_EN")
    assert found.lost == found.gained == []
    assert found.rows[0].p == (1.0, 1.0) and found.rows[0].low < 0 < found.rows[0].high


@needs_recorded
def test_the_recorded_captions_are_refused_for_their_prompts() -> None:
    message = refusal(recorded("dense", "COCO_VAL"), recorded("hybrid", "COCO_VAL"))
    assert "differ in prompt" in message and "'vlmevalkit'" in message


def test_the_shipped_references_compare_by_name() -> None:
    row = compared(f"{DENSE}_MMBench_DEV_EN", f"{HYBRID}_MMBench_DEV_EN").rows[0]
    assert (row.lost, row.gained) == (125, 41)


def test_differences_are_after_minus_before(tmp_path: Path) -> None:
    before = questions_xlsx(tmp_path / "before.xlsx", "AAAB")
    found = compared(before, questions_xlsx(tmp_path / "after.xlsx", "ABBA"))
    row = found.rows[0]
    assert (row.before, row.after, row.lost, row.gained) == (0.75, 0.5, 2, 1)
    assert row.low < -0.25 < row.high
    assert (found.lost, found.gained) == ([2, 3], [4])
    assert {(r.category, r.lost, r.gained) for r in found.categories} == {
        ("even", 1, 0),
        ("odd", 1, 1),
    }


def test_captions_pair_by_image_with_a_bootstrap(tmp_path: Path) -> None:
    before = captions_xlsx(tmp_path / "before.xlsx", ["a cat", "a dog", "a cow", "a hen"])
    after = captions_xlsx(tmp_path / "after.xlsx", ["a cat", "nothing", "a cow", "a hen"])
    found = compared(before, after)
    (row,) = found.rows
    assert row.metric == "CIDEr" and row.p is None and row.after < row.before
    assert row.low <= row.after - row.before <= row.high
    assert (found.lost, found.gained) == ([2], [])


def with_margins(folder: Path, letters: str, margin: float) -> Path:
    """A run folder in float16 whose letters were chosen by `margin` logits each."""
    run_folder(folder, letters)
    document = json.loads((folder / "run.json").read_text()) | {"dtype": "float16"}
    (folder / "run.json").write_text(json.dumps(document))
    tops = (Tops((ord(letter), 2), ((20.0, 20.0 - margin), (30.0, 5.0))) for letter in letters)
    (folder / MARGINS).write_text("".join(line(1 + i, top) for i, top in enumerate(tops)))
    answers = dict(enumerate(letters, start=1))
    merge(folder, answers, answers)
    seal(folder)
    return folder


@pytest.mark.parametrize(("margin", "said"), [(0.01, "0 real + 2 near-tie"), (3.0, "2 real + 0")])
def test_flips_are_told_apart_by_the_margins_of_both_runs(
    tmp_path: Path, margin: float, said: str
) -> None:
    before = with_margins(tmp_path / "before", "AAAB", margin)
    found = compared(before, with_margins(tmp_path / "after", "ABBA", margin))
    assert found.said()[0].startswith(f"2 lost: {said}")
    assert set(found.near_ties.values()) == {margin < 1}
    write_page(found, tmp_path / "page.html", pictures=False)
    page = (tmp_path / "page.html").read_text()
    assert f"2 lost: {said}" in page
    assert page.count(", a near-tie") == (3 if margin < 1 else 0)


def test_flips_of_runs_without_margins_are_not_called_either(tmp_path: Path) -> None:
    before = with_margins(tmp_path / "before", "AAAB", 0.01)
    found = compared(before, run_folder(tmp_path / "after", "ABBA"))
    assert found.said()[:2] == ["2 lost: margins not recorded", "1 gained: margins not recorded"]


def test_the_category_that_is_worse_is_said_in_words(tmp_path: Path) -> None:
    before = questions_xlsx(tmp_path / "before.xlsx", "A" * 24)
    after = questions_xlsx(tmp_path / "after.xlsx", "AB" * 9 + "A" * 6)
    found = compared(before, after)
    assert found.said() == [
        "9 lost: margins not recorded",
        "significantly worse: odd (Holm p = 0.0078 two-sided)",
    ]


def test_a_run_compares_with_a_reference_of_the_users(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run", "AABB")
    add_run(run, "mine", tmp_path / "kept")
    before = load_side("mine", references=tmp_path / "kept")
    after = load_side(str(run_folder(tmp_path / "new", "AAAB")))
    found = compare(before, after)
    assert (found.lost, found.gained, found.remarks) == ([], [3], [])
    assert {row.category for row in found.categories} == {"odd", "even"}


SPENT = Budget(36, 43.75, 10**9, 512_000)


def test_what_each_run_spends_stands_there_and_what_was_not_recorded_is_said(
    tmp_path: Path, typed: Typed
) -> None:
    before = run_folder(tmp_path / "before", "AA")
    after = run_folder(tmp_path / "after", "AB", budget=SPENT)
    page = tmp_path / "page.html"
    ended = typed("compare", str(before), str(after), "--output", str(page), "--no-pictures")
    assert ended.code == 0, ended.err
    rows = {line.split()[0]: line for line in ended.out.splitlines() if line.strip()}
    assert rows["before"].split("  ")[-4:] == ["not recorded"] * 4
    assert rows["after"].split()[1:] == ["after", "36", "43.8", "1", "G", "512", "kB"]
    cells = re.findall(r"<td>([^<]*)</td>", page.read_text())
    place = cells.index("36")
    assert cells[place : place + 4] == SPENT.cells
    assert cells.count("not recorded") == 4


@pytest.mark.parametrize("budget", [SPENT, None])
def test_a_reference_keeps_what_its_run_spent(tmp_path: Path, budget: Budget | None) -> None:
    add_run(run_folder(tmp_path / "run", "AABB", budget=budget), "mine", tmp_path / "kept")
    before = load_side("mine", references=tmp_path / "kept")
    found = compare(before, load_side(str(run_folder(tmp_path / "new", "AAAB"))))
    assert found.before.budget == budget and found.after.budget is None
    assert ("budget" in (tmp_path / "kept" / "mine.json").read_text()) == (budget is not None)


def test_an_unrecorded_prompt_is_said_not_passed_over(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run", "AA")
    found = compared(run, questions_xlsx(tmp_path / "other.xlsx", "AA"))
    assert found.remarks == ["the prompt of other is not recorded, so not compared"]


@pytest.mark.parametrize(
    ("what", "data", "recipe"),
    [
        ("data", {"hash": "9"}, {}),
        ("prompts", {"prompts": "9"}, {}),
        ("images", {"images": "padded to square"}, {}),
        ("prompt", {}, {"prompt": "llava"}),
        ("matcher", {}, {"matcher": "lmms-2024"}),
    ],
)
def test_runs_of_other_data_or_recipe_are_refused_and_it_is_named(
    tmp_path: Path, what: str, data: Mapping[str, str], recipe: Mapping[str, str]
) -> None:
    one = run_folder(tmp_path / "one", "AA")
    two = run_folder(tmp_path / "two", "AA", data=data, recipe=recipe)
    assert f"they differ in {what}: " in refusal(one, two)


def test_a_matcher_of_ones_own_reads_both_runs(tmp_path: Path) -> None:
    one = run_folder(tmp_path / "one", "AA")
    two = run_folder(tmp_path / "two", "AA", recipe={"matcher": "lmms-2024"})
    found = compared(one, two, matcher="vlmevalkit-2026-06")
    assert found.after.recipe["matcher"] == "vlmevalkit-2026-06"


def test_files_of_other_rows_questions_or_answers_are_refused(tmp_path: Path) -> None:
    one = questions_xlsx(tmp_path / "one.xlsx", "AAAA")
    shifted = questions_xlsx(tmp_path / "shifted.xlsx", "AAAA", first=2)
    assert "lacks row 5" in refusal(one, shifted)
    assert "lacks row 4" in refusal(one, questions_xlsx(tmp_path / "short.xlsx", "AAA"))
    other = questions_xlsx(tmp_path / "other.xlsx", "AAAA", question="Who?")
    assert "differ in question 1: 'Which? 1' and 'Who? 1'" in refusal(one, other)
    answers = questions_xlsx(tmp_path / "answers.xlsx", "AAAA", right="B")
    assert "differ in answer of row 1: 'A' and 'B'" in refusal(one, answers)
    captions = captions_xlsx(tmp_path / "captions.xlsx", ["a cat", "a dog"])
    assert "differ in kind of data" in refusal(one, captions)


def test_other_right_answers_than_a_references_are_refused(tmp_path: Path) -> None:
    """Also where every answer is wrong by both, which only the digest of all of them tells."""
    folder = tmp_path / "kept"
    add_run(questions_xlsx(tmp_path / "one.xlsx", "CC"), "mine", folder)
    other = load_side(str(questions_xlsx(tmp_path / "two.xlsx", "AA", right="B")))
    with pytest.raises(UserError, match="differ in right answers"):
        compare(load_side("mine", references=folder), other)


def kept(folder: Path, run: Path, name: str = "all") -> Side:
    add_run(run, name, folder)
    return load_side(name, references=folder)


def test_a_reference_is_cut_to_the_questions_of_a_run(tmp_path: Path) -> None:
    everything = kept(tmp_path, questions_xlsx(tmp_path / "all.xlsx", "AABBAA"))
    part = load_side(str(questions_xlsx(tmp_path / "part.xlsx", "AAAB", first=2)))
    found = compare(everything, part)
    row = found.rows[0]
    assert (row.before, row.after, row.n) == (0.5, 0.75, 4)
    assert (found.lost, found.gained) == ([5], [3, 4])
    assert found.remarks[0] == "all holds 6 rows, of which the run's 4 count"
    assert compare(part, everything).lost == [3, 4]  # in either place
    more = load_side(str(questions_xlsx(tmp_path / "more.xlsx", "AAAA", first=4)))
    with pytest.raises(UserError, match="all lacks row 7"):
        compare(everything, more)


@pytest.mark.parametrize("letters", ["AAA", "BBB", "ABA"])
def test_a_reference_of_other_right_answers_is_not_cut(tmp_path: Path, letters: str) -> None:
    everything = kept(tmp_path, questions_xlsx(tmp_path / "all.xlsx", letters))
    other = load_side(str(questions_xlsx(tmp_path / "two.xlsx", "AA", right="B")))
    with pytest.raises(UserError, match="differ in the right answer of row 1"):
        compare(everything, other)


def test_kept_captions_are_scored_on_the_images_of_the_run(tmp_path: Path) -> None:
    captions = ["a cat", "nothing", "a cow", "a hen", "a fox"]
    everything = kept(tmp_path, captions_xlsx(tmp_path / "all.xlsx", captions))
    part = captions_xlsx(tmp_path / "part.xlsx", ["a cat", "a dog", "a cow"])
    same = captions_xlsx(tmp_path / "same.xlsx", captions[:3])
    found = compare(everything, load_side(str(part)))
    assert found.rows == compared(same, part).rows
    assert found.gained == [2] and found.lost == []
    assert found.remarks == ["all holds 5 images, of which the run's 3 count"]
    more = captions_xlsx(tmp_path / "more.xlsx", [*captions, "an owl"])
    with pytest.raises(UserError, match="all lacks image 6"):
        compare(everything, load_side(str(more)))
    with pytest.raises(UserError, match="both keep captions without what people wrote"):
        compare(everything, everything)


def test_kept_captions_of_other_images_are_refused(tmp_path: Path) -> None:
    everything = kept(tmp_path, captions_xlsx(tmp_path / "all.xlsx", ["a cat", "a dog"]))
    run = load_side(str(captions_xlsx(tmp_path / "new.xlsx", ["a cat", "a dog"])))
    other = replace(run, truth={1: ["a cat", "one cat"], 2: ["a dog", "two dogs"]})
    with pytest.raises(UserError, match="differ in the captions of image 2"):
        compare(everything, other)
    asked = load_side(str(captions_xlsx(tmp_path / "asked.xlsx", ["a", "b"], question="What?")))
    with pytest.raises(UserError, match="differ in prompt"):
        compare(everything, asked)


@needs_recorded
def test_a_run_without_rotations_is_paired_with_the_first_rows_alone() -> None:
    run = load_side(str(recorded("dense", "MMBench_DEV_EN")))
    first = {index: hit for index, hit in run.row_hits.items() if index < ROTATION}
    part = replace(run, row_hits=first, questions={i: run.questions[i] for i in first})
    reference, remarks = cut(load_side(f"{HYBRID}_MMBench_DEV_EN"), part)
    assert sum(reference.hits.values()) == 801 and len(reference.hits) == 1164
    assert remarks == [f"{HYBRID}_MMBench_DEV_EN holds 4329 rows, of which the run's 1164 count"]


@needs_recorded
@pytest.mark.usefixtures("scored_once")
def test_the_recorded_captions_are_their_reference() -> None:
    found = compared(recorded("hybrid", "COCO_VAL"), f"{HYBRID}_COCO_VAL")
    (row,) = found.rows
    assert row.before == row.after == pytest.approx(0.7405894930846839, rel=1e-12)
    assert (found.lost, found.gained, found.remarks) == ([], [], [])


def test_a_reference_can_not_be_read_anew(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="keeps no texts to read anew"):
        load_side(f"{DENSE}_MMBench_DEV_EN", matcher="lmms-2024")


def test_what_is_no_run_is_named_with_the_references_there_are(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"nowhere is no run folder.*{DENSE}_MMBench_DEV_EN"):
        load_side(str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"No such file"):
        load_side(str(tmp_path / "missing.xlsx"))


def test_an_unfinished_or_damaged_run_is_refused(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run", "AA")
    (folder / "scores.json").write_text("{")
    with pytest.raises(UserError, match=r"scores.json is damaged: finish the run with --reuse"):
        load_side(str(folder))
    (folder / "scores.json").unlink()
    with pytest.raises(UserError, match=r"scores.json is missing.*--reuse"):
        load_side(str(folder))
    (folder / "scores.json").write_text("{}")
    (folder / "model_data.xlsx").unlink()
    with pytest.raises(UserError, match=r"holds neither a .xlsx nor predictions.jsonl: give"):
        load_side(str(folder))


def scored_captions(folder: Path, values: object) -> Path:
    captions_xlsx(folder / "model_coco.xlsx", ["a cat", "a dog"])
    recipe = {"prompt": "vlmevalkit", "tokeniser": "ptb"}
    (folder / "run.json").write_text(json.dumps({"model": folder.name}))
    (folder / "scores.json").write_text(json.dumps({"recipe": recipe, "values": values}))
    return folder


def test_captions_of_a_run_keep_the_scores_of_its_own_tokeniser(tmp_path: Path) -> None:
    side = load_side(str(scored_captions(tmp_path, {"1": 0.25, "2": 4})))
    assert side.recipe["tokeniser"] == "ptb" and side.values == {1: 0.25, 2: 4.0}


@pytest.mark.parametrize(
    "values",
    [[], {}, {"1": 1.0}, {"1": "x", "2": 1}, {"1": float("nan"), "2": 1}, {"x": 1, "2": 1}],
)
def test_damaged_scores_are_an_error_in_one_line(tmp_path: Path, values: object) -> None:
    with pytest.raises(UserError, match=r"scores.json") as caught:
        load_side(str(scored_captions(tmp_path, values)))
    assert "\n" not in str(caught.value)


def test_the_tables_name_both_runs_and_every_remark(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = questions_xlsx(tmp_path / "one.xlsx", "AAB")
    print_comparison(compared(one, questions_xlsx(tmp_path / "two.xlsx", "ABB")))
    printed = capsys.readouterr().out
    assert "before: one" in printed and "after:  two" in printed
    assert "circular accuracy  0.6667  0.3333  -0.3333" in printed
    assert "note: the prompt of one and two is not recorded" in printed


def cli(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """`python -m bench ARGUMENTS`; returns the exit code."""
    monkeypatch.setattr("sys.argv", ["bench", *arguments])
    with pytest.raises(SystemExit) as exited:
        main()
    return int(exited.value.code or 0)


def test_the_commands_work_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run_folder(tmp_path / "old", "AAB")
    run_folder(tmp_path / "new", "ABB")
    assert cli(monkeypatch, "reference", "add", "old", "--name", "dense") == 0
    assert cli(monkeypatch, "reference", "list") == 0
    assert "dense" in capsys.readouterr().out
    assert cli(monkeypatch, "compare", "dense", "new") == 0
    assert "circular accuracy  0.6667  0.3333  -0.3333" in capsys.readouterr().out
    assert (tmp_path / "new" / "compare.html").is_file()
    assert cli(monkeypatch, "compare", "new", "dense", "--output", "page.html") == 0
    assert (tmp_path / "page.html").is_file() and (tmp_path / "references/dense.csv").is_file()


@pytest.mark.parametrize(
    "arguments",
    [
        ("compare", "old", "nowhere"),
        ("compare", "old", "other"),
        ("reference", "add", "nowhere"),
        ("reference", "add", "old", "--name", "a/b"),
    ],
)
def test_what_can_not_be_compared_exits_2_with_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
) -> None:
    monkeypatch.chdir(tmp_path)
    run_folder(tmp_path / "old", "AA")
    run_folder(tmp_path / "other", "AA", data={"hash": "9"})
    assert cli(monkeypatch, *arguments) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("error: ") and printed.err.count("\n") == 1
    assert not list(tmp_path.rglob("*.html")) and not (tmp_path / "references").exists()


def side_with(**data: str) -> Any:
    document = {"data": {"weights": "sha256:1", **data}, "dtype": "float16", "max_new_tokens": 8}
    return SimpleNamespace(document=document, source="runs")


def test_a_gate_refuses_another_processor_where_both_runs_recorded_theirs() -> None:
    one, other, older = side_with(processor="a"), side_with(processor="b"), side_with()
    demand_same_model(one, side_with(processor="a"))
    demand_same_model(older, one)  # made before processors were recorded
    demand_same_model(one, older)
    with pytest.raises(UserError, match="they differ in processor: 'a' and 'b'"):
        demand_same_model(one, other)


def judged(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object
) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `bench compare`."""
    monkeypatch.setattr("sys.argv", ["bench", "compare", *map(str, arguments)])
    capsys.readouterr()
    code = 0
    try:
        main()
    except SystemExit as ended:
        code = int(ended.code or 0)
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.mark.parametrize(
    ("after", "margin", "code", "word"),
    [
        ("A" * 100, "0.03", 0, "PASS"),
        ("B" * 60 + "A" * 40, "0.03", 1, "FAIL"),
        ("B" * 2 + "A" * 98, "0.03", 3, "UNSURE"),
        ("B" * 60 + "A" * 40, "0.8", 0, "PASS"),
    ],
)
def test_two_files_and_a_margin_are_a_gate(
    after: str,
    margin: str,
    code: int,
    word: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    files = [
        questions_xlsx(tmp_path / f"{name}.xlsx", answers)
        for name, answers in (("before", "A" * 100), ("after", after))
    ]
    page = tmp_path / "page.html"
    told = judged(monkeypatch, capsys, *files, "--margin", margin, "--output", page)
    assert (told[0], told[2]) == (code, "")
    lines = told[1].splitlines()
    assert word in told[1] and lines[-1] == f"written to {page}"
    command = f"python -m bench compare {files[0]} {files[1]} --margin {margin} --output {page}"
    assert (f"reproduce: {command}" in lines) == (code != 0)
    shown = f'class="{word}">{word}<'
    assert shown in page.read_text() and command in page.read_text()
    unjudged = judged(monkeypatch, capsys, *files, "--output", page)
    assert (unjudged[0], shown in page.read_text()) == (0, False)


@pytest.mark.parametrize("margin", ["0", "1", "-0.1", "nan", "inf", "3"])
def test_a_margin_that_is_none_is_refused(
    margin: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    files = [questions_xlsx(tmp_path / f"{name}.xlsx", "AAAA") for name in ("before", "after")]
    code, _, err = judged(monkeypatch, capsys, *files, f"--margin={margin}")
    assert code == 2 and "margin is" in err and err.count("\n") == 1
    assert not (tmp_path / "compare.html").exists()


def test_files_of_other_questions_or_right_answers_are_not_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = questions_xlsx(tmp_path / "before.xlsx", "AAAA")
    for name, after in (
        ("fewer", questions_xlsx(tmp_path / "fewer.xlsx", "AAA")),
        ("others", questions_xlsx(tmp_path / "others.xlsx", "AAAA", first=2)),
        ("asked", questions_xlsx(tmp_path / "asked.xlsx", "AAAA", question="Who?")),
        ("right", questions_xlsx(tmp_path / "right.xlsx", "AAAA", right="B")),
    ):
        for pair in ((before, after), (after, before)):
            code, _, err = judged(monkeypatch, capsys, *pair, "--margin", "0.5")
            assert (code, err.count("\n")) == (2, 1), name


def test_captions_are_judged_by_cider(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("before", "after")
    files = [captions_xlsx(tmp_path / f"{name}.xlsx", ["a cat", "a dog"]) for name in names]
    code, out, _ = judged(monkeypatch, capsys, *files, "--margin", "0.05")
    assert code == 3 and "too few images" in out
