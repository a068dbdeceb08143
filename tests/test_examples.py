"""What README, docs and help tell people to type is typed here, and its answer looked at."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer

import bench.trust.mutants.template
import noxfile
from bench.arms import own
from bench.base import checkout
from bench.cli import app, demo
from bench.gates.method.template import new_method
from bench.tasks.load import FIXTURE_DATA
from hybrid.methods import METHODS
from tests.commands import Typed
from tests.compare_runs import captions_xlsx, questions_xlsx, run_folder
from tests.examples import ROOT, Example, examples
from tests.git_repositories import commit, git, repository
from tests.own_methods import mine

__all__ = ["mine"]
QUESTION = " ".join(re.findall(r'bench demo "([^"]*)"', demo.demo.__doc__ or "")[0].split())
GPU = "needs the 7B model's weights, and a GPU"
DOWNLOAD = "downloads"
MINUTES = "takes minutes"
PLACEHOLDERS = "its names stand for the reader's own"
SHORTER = "tests/test_own_methods.py does, on fewer questions"
NOT_RUN = {  # the line: why no test runs it; it is parsed all the same
    "bench accuracy --profile llava-1.5-7b --full": GPU,
    "bench accuracy --profile tiny-qwen": "tests/test_bench_families.py does, on fewer questions",
    "bench demo photo.jpg 'What is this?' --model llava_v1.5_7b_hybrid": GPU,
    "bench gpu-check": GPU,
    "bench gpu-check --out h100.json": GPU,
    "bench latency --profile llava-1.5-7b --weights random": GPU,
    "bench latency --profile qwen2.5-vl-7b --weights random": GPU,
    "bench run --data MMBench_DEV_EN --model Qwen2.5-VL-7B-Instruct --method divprune"
    " --keep 64": GPU,
    "bench latency --weights random": "needs 18 GB and a profile's copy that the text describes",
    "bench run --data MMBench_DEV_EN --model llava_v1.5_7b_hybrid --verbose"
    " --work-dir hybrid_mmbench_k36 --reuse": GPU,
    "bench run --data COCO_VAL --model llava_v1.5_7b_hybrid --verbose"
    " --work-dir hybrid_coco_k72": GPU,
    "torchrun run ...": PLACEHOLDERS,
    "bench fetch MMBench_DEV_EN": DOWNLOAD,
    "bench fetch COCO_VAL": DOWNLOAD,
    "bench init --checkpoint llava-hf/llava-1.5-7b-hf --data my.tsv": DOWNLOAD,
    "bench bisect GOOD BAD --gate latency": PLACEHOLDERS,
    "bench bisect GOOD BAD --gate NAME": PLACEHOLDERS,
    "bench bisect main~20 main --gate accuracy -- --keep 36": MINUTES,
    "bench compare RUN RUN": PLACEHOLDERS,
    "bench reference add RUN": PLACEHOLDERS,
    "bench mutants --add model/NAME": PLACEHOLDERS,
    "bench cost --gpu h100": "counts for half a minute, as tests/test_cost.py does",
    "bench cost --gpu h100 --method divprune --keep 36": "tests/test_method_records.py does, at 64",
    "bench cost --model qwen2.5-vl-7b": "tests/test_cost_families.py counts some of it",
    "bench cost --gpu h100 --model qwen2.5-vl-7b": "tests/test_cost_families.py does of another",
    "bench cost --gpu h100 --method largest_keys.py:LargestKeys": "it does of another file",
    "bench gate-check": MINUTES,
    "bench latency --aa": MINUTES,
    "bench latency --against HEAD~1": MINUTES,
    "bench latency --against main --smallest-effect 0.03 --budget 120": MINUTES,
    "bench latency --keep 36": MINUTES,
    "bench latency --profile my.toml": MINUTES,
    "bench accuracy --profile my.toml": MINUTES,
    "bench mutants --only model/cls-merges": MINUTES,
    "bench mutants --without golden": MINUTES,
    "bench sweep --keep 9,18,36,none --limit 60": MINUTES,
    "bench sweep --methods divprune,visionzip --keep 9,18 --limit 60": MINUTES,
    "bench sweep --methods all --average 36,18 --over flops --limit 60": MINUTES,
    "bench sweep --methods NAME --average 36,18,9": PLACEHOLDERS,
    "bench run --model tiny_NAME": PLACEHOLDERS,
    "bench run --data tiny-mmbench --model tiny --method mine.py:Mine --keep 18": SHORTER,
    "bench accuracy --method mine.py:Mine --keep 9": SHORTER,
    "bench latency --method mine.py:Mine --keep 18": MINUTES,
    "bench method check mine.py:Mine": "tests/test_method_check.py checks it",
    "bench golden --method mine.py:Mine --keep 72": "tests/test_method_records.py does",
    "bench cost --method mine.py:Mine --keep 64": "tests/test_method_records.py does, at keep 9",
    "bench method check largest_keys.py:LargestKeys": "checked where it is written",
    "bench accuracy --method largest_keys.py:LargestKeys --keep 18": SHORTER,
    "bench latency --method largest_keys.py:LargestKeys --keep 18": MINUTES,
    "bench sweep --methods largest_keys.py:LargestKeys,divprune --average 36,18": MINUTES,
    "bench sweep --methods divprune,largest_keys.py:LargestKeys --average 36,18": MINUTES,
}
RUN: set[str] = set()


def answers(*lines: str) -> Callable[[Any], Any]:
    """The test runs these examples and looks at what they say."""
    RUN.update(lines)
    return pytest.mark.parametrize("line", lines)


def words(line: str) -> list[str]:
    return shlex.split(line)[1:]


def test_the_readmes_python_answers_rightly_as_it_stands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    snippet = re.findall(r"```python\n(.*?)```", text.partition("## In Python")[2], re.DOTALL)[0]
    ran = subprocess.run(
        [sys.executable, "-c", snippet], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout) == (0, "green D\n"), ran.stderr
    assert "# green D" in snippet


def test_without_a_home_folder_the_data_s_folder_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from bench.base.errors import UserError
    from bench.tasks.load import lmu_data

    def nobody(_: int) -> None:
        raise KeyError("no such uid")

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("LMUData", raising=False)
    monkeypatch.setattr("pwd.getpwuid", nobody)
    with pytest.raises(UserError, match="set LMUData"):
        lmu_data()


def of(program: str) -> list[Any]:
    return [pytest.param(e, id=f"{e.line} ({e.where})") for e in examples() if e.program == program]


def test_each_example_is_run_or_says_why_not() -> None:
    lines = {example.line for example in examples() if example.program != "nox"}
    run, not_run = ({shlex.join(shlex.split(line)) for line in table} for table in (RUN, NOT_RUN))
    assert lines - run - not_run == set(), "run them by a test here, or say why not in NOT_RUN"
    assert (run | not_run) - lines == set(), "nobody is told to type these"
    assert run & not_run == set()
    assert len(RUN) > 15


def parse(given: list[str]) -> None:
    """Raises typer's or click's exception unless `bench` takes these words."""
    command: Any = typer.main.get_command(app)
    context: Any = None
    name = "bench"
    while True:
        context = command.make_context(name, list(given), parent=context)
        if not hasattr(command, "resolve_command"):
            return
        rest = [*context._protected_args, *context.args]
        if not rest:
            return
        name, command, given = command.resolve_command(context, rest)


@pytest.mark.parametrize("example", of("bench"))
def test_each_example_is_a_line_that_the_command_takes(
    example: Example,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if "mine.py:Mine" in example.words:
        monkeypatch.chdir(request.getfixturevalue("mine").parent)
    if "largest_keys.py:LargestKeys" in example.words:
        own.forget()
        monkeypatch.chdir(tmp_path)
        new_method("LargestKeys", "language")
    needs_data = example.words[0] == "run" and "--data" not in example.words
    parse([*example.words, *(["--data", "tiny-mmbench"] if needs_data else [])])


@pytest.mark.parametrize("example", of("nox"))
def test_each_session_of_an_example_exists_and_takes_the_words_behind_it(
    example: Example, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = list(example.words)
    split = given.index("--") if "--" in given else len(given)
    sessions, behind = given[:split], given[split + 1 :]
    assert sessions[:1] in (["-s"], [])
    handed: list[tuple[str, ...]] = []
    monkeypatch.setattr(noxfile, "python", lambda _, *rest: handed.append(rest))
    monkeypatch.setattr(noxfile, "pytest", lambda _, *rest: handed.append(("pytest", *rest)))
    monkeypatch.setattr(noxfile, "_combination", lambda _, name: f"passed: {name}")
    for name in sessions[1:]:
        known = vars(noxfile)[name.replace("-", "_")]
        assert (known.name or known.func.__name__).replace("_", "-") == name
        if name == "wheel":
            continue
        known.func(SimpleNamespace(posargs=behind, notify=lambda *_, **__: None, log=print))
    for program, *rest in handed:
        if program == "bench":
            parse(rest)
    assert (
        not behind
        or any(set(behind) <= set(each) for each in handed)
        or sessions[1:] == ["tests-matrix"]
    )


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `outputs` holds two runs of the same questions."""
    folder = tmp_path_factory.mktemp("examples")
    for model, said in (("tiny", "AAAB"), ("tiny_hybrid", "AABB")):
        run_folder(folder / "outputs" / model / "tiny-mmbench", said)
    captions = folder / "outputs" / "llava_v1.5_7b_hybrid" / "COCO_VAL"
    run_folder(captions, "A", data={"name": "COCO_VAL"})
    (captions / "model_data.xlsx").unlink()
    captions_xlsx(captions / "model_COCO_VAL.xlsx", ["a cat", "a dog"])
    recipe = {"prompt": "vlmevalkit", "tokeniser": "raw"}
    (captions / "scores.json").write_text(
        json.dumps({"recipe": recipe, "values": {"1": 1.5, "2": 2.5}})
    )
    return folder


@pytest.fixture
def place(outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a copy of that."""
    for name in ("FASTV_K", "VLM_HYBRID_HISTORY", "VLM_HYBRID_REFERENCES"):
        monkeypatch.delenv(name, raising=False)
    folder = Path(shutil.copytree(outputs, tmp_path / "place"))
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.usefixtures("place")
@answers(
    "bench demo", "bench demo --method divprune --keep 9", shlex.join(["bench", "demo", QUESTION])
)
def test_demo_answers_as_dense_does_and_draws(typed: Typed, line: str) -> None:
    ran = typed(*words(line))
    assert (ran.code, ran.err) == (0, "")
    dense, hybrid = ran.out.splitlines()[:2]
    assert dense.removeprefix("dense: ") == hybrid.partition(": ")[2]
    if QUESTION in words(line):
        assert dense == "dense: green B"
    assert "demo.png: " in ran.out and Path("demo.png").is_file()


@pytest.mark.usefixtures("place")
@answers("bench run --data tiny-mmbench --model tiny_hybrid --keep 36")
def test_run_answers_and_scores(typed: Typed, line: str) -> None:
    ran = typed(*words(line), "--limit", "4", "--work-dir", "new")
    assert (ran.code, ran.err) == (0, "")
    folder = Path("new/tiny_hybrid/tiny-mmbench")
    assert "tiny_hybrid on tiny-mmbench: merged, keep 36" in ran.out
    assert f"written to {folder}" in ran.out
    assert json.loads((folder / "scores.json").read_text())["value"] == 1.0
    status = typed("status", "new")
    assert status.code == 0 and "16 of 16" in status.out


@pytest.mark.usefixtures("place")
@answers("bench accuracy --keep 9")
def test_accuracy_judges_both_data_sets(typed: Typed, line: str) -> None:
    ran = typed(*words(line), "--limit", "4", "--work-dir", "new")
    assert ran.code in (0, 3) and ran.err == ""  # four questions may be too few
    assert "keep 9" in ran.out
    assert "tiny-mmbench/paired" in ran.out and "tiny-coco" in ran.out
    assert Path("new/accuracy-report.html").is_file()


@pytest.mark.usefixtures("place")
@answers("bench status outputs")
def test_status_names_each_run(typed: Typed, line: str) -> None:
    shutil.rmtree("outputs")
    typed("run", "--data", "tiny-coco", "--model", "tiny_fastv", "--limit", "3")
    ran = typed(*words(line))
    assert ran.code == 0 and "tiny_fastv" in ran.out and "3 of 3" in ran.out


@answers("bench score llava_v1.5_7b_MMBench_DEV_EN.xlsx")
def test_score_reads_the_sheet(typed: Typed, place: Path, line: str) -> None:
    questions_xlsx(place / words(line)[1], "AAAB")
    ran = typed(*words(line))
    assert ran.code == 0 and "0.7500" in ran.out


@pytest.mark.usefixtures("place")
@answers("bench compare outputs/tiny/tiny-mmbench outputs/tiny_hybrid/tiny-mmbench")
def test_compare_pairs_two_runs_and_writes_a_page(typed: Typed, line: str) -> None:
    ran = typed(*words(line))
    page = Path("outputs/tiny_hybrid/tiny-mmbench/compare.html")
    assert ran.code == 0 and f"written to {page}" in ran.out
    assert "-0.2500" in ran.out and "Which? 3" in page.read_text()


@answers("bench compare dense_MMBench.xlsx mine_MMBench.xlsx --margin 0.03")
def test_compare_judges_two_sheets(typed: Typed, place: Path, line: str) -> None:
    before, after = words(line)[1:3]
    questions_xlsx(place / before, "A" * 200)
    questions_xlsx(place / after, "A" * 200)
    same = typed(*words(line))
    assert same.code == 0 and "PASS" in same.out
    questions_xlsx(place / after, "A" * 150 + "B" * 50)
    worse = typed(*words(line))
    assert worse.code == 1 and "FAIL" in worse.out


@pytest.mark.usefixtures("place")
@answers(
    "bench reference add outputs/tiny/tiny-mmbench --name dense",
    "bench reference add outputs/llava_v1.5_7b_hybrid/COCO_VAL --name hybrid-coco-2026-11",
)
def test_a_run_is_kept_as_a_reference(typed: Typed, line: str) -> None:
    ran = typed(*words(line))
    name = words(line)[-1]
    assert ran.code == 0 and ran.out.endswith(f"{name}.csv\n")
    assert name in typed("reference", "list").out


@pytest.mark.usefixtures("place")
@answers("bench reference list")
def test_the_shipped_references_are_listed(typed: Typed, line: str) -> None:
    ran = typed(*words(line))
    assert ran.code == 0 and "llava_v1.5_7b_hybrid_COCO_VAL" in ran.out


@answers(
    "bench method new LargestKeys",
    "bench method new LargestKeys --place hand-over",
    "bench method new LargestKeys --place tower",
)
def test_a_new_method_is_written(
    typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    own.forget()
    monkeypatch.chdir(tmp_path)
    made = typed(*words(line))
    assert made.code == 0 and made.out.endswith("method check largest_keys.py:LargestKeys\n")
    assert own.known("largest_keys.py:LargestKeys") == "LargestKeys"


@answers("bench method check divprune --keep 9,18")
def test_a_shipped_method_is_checked(typed: Typed, tmp_path: Path, line: str) -> None:
    ran = typed(*words(line), "--work-dir", str(tmp_path))
    assert ran.code == 0 and "method/waits" in ran.out and "FAIL" not in ran.out


@answers("bench methods")
def test_methods_are_listed_with_their_papers(typed: Typed, line: str) -> None:
    ran = typed(*words(line))
    assert ran.code == 0 and all(name in ran.out for name in ("dymu", "fastv", *METHODS))
    assert ran.out.count("https://arxiv.org/abs/") == 11


@pytest.mark.usefixtures("place")
@answers("bench golden")
def test_golden_passes(typed: Typed, line: str) -> None:
    ran = typed(*words(line))
    assert ran.code == 0 and "PASS" in ran.out


@pytest.mark.usefixtures("place")
@answers("bench history add outputs", "bench history")
def test_history_keeps_what_a_gate_found(typed: Typed, line: str) -> None:
    report = report_of_a_gate(Path("outputs"))
    added = typed("history", "add", "outputs")
    assert added.code == 0 and f"{report} of " in added.out and "added to" in added.out
    if "add" not in words(line):
        ran = typed(*words(line))
        assert ran.code == 0 and report in ran.out
        assert Path("outputs/history.html").is_file()


def report_of_a_gate(folder: Path) -> str:
    """Leaves the report of a gate there, as each gate does; returns its title."""
    from bench.base.verdict import Outcome, Verdict
    from bench.report.write import write_report

    verdict = Verdict(
        gate="golden", outcome=Outcome.PASS, reason="all", reproduce="x", numbers={"value": 0.0}
    )
    write_report(folder, [verdict], title="golden")
    return "golden"


@pytest.mark.usefixtures("place")
@answers(
    "bench syncs --compare tiny",
    "bench syncs --model tiny_hybrid --compare tiny",
)
def test_waits_are_counted_beside_transformers_own(typed: Typed, line: str) -> None:
    ran = typed(*words(line))
    counts = dict(re.findall(r"^(\w+): ([0-9.]+) waits a token", ran.out, re.MULTILINE))
    assert ran.code == 0 and set(counts) == {"tiny", "tiny_hybrid"}
    assert float(counts["tiny_hybrid"]) < 1 < float(counts["tiny"])


@pytest.mark.usefixtures("place")
@answers("bench syncs --model llava_v1.5_7b_hybrid --weights random")
def test_the_7b_is_watched_without_weights(typed: Typed, line: str) -> None:
    ran = typed(*words(line))
    assert ran.code == 0 and "stands in for llava-hf/llava-1.5-7b-hf" in ran.out
    assert "PASS" in ran.out and "FAIL" not in ran.out


@pytest.mark.usefixtures("place")
@answers("bench syncs --model llava_next_vicuna_7b_hybrid")
def test_another_family_is_watched_without_weights(typed: Typed, line: str) -> None:
    ran = typed(*words(line))
    assert ran.code == 0 and "an untrained LLaVA-NeXT with images of" in ran.out
    assert "PASS" in ran.out and "FAIL" not in ran.out


@answers("bench mutants --add model/what-went-wrong")
def test_a_mutant_s_file_is_started(
    typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    monkeypatch.setattr(bench.trust.mutants.template, "folder_of", lambda _: tmp_path)
    ran = typed(*words(line))
    assert ran.code == 0 and "python -m bench mutants --only model/what-went-wrong" in ran.out
    assert "MUTANT = Mutant(" in (tmp_path / "what_went_wrong.py").read_text()


@answers("bench edited --base main")
def test_edited_names_what_judges(
    typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    folder = repository(tmp_path / "project")
    commit(folder, {"golden/a": "1", ".github/CODEOWNERS": "/golden/ @somebody\n"}, "first")
    git(folder, "checkout", "--quiet", "-b", "change")
    commit(folder, {"golden/a": "2"}, "later")
    monkeypatch.setattr(checkout, "BENCH", folder / "bench")
    monkeypatch.chdir(tmp_path)
    ran = typed(*words(line))
    assert (ran.code, ran.out) == (0, "This change edits what judges it:\n- golden/a\n")


PROFILE_PAGE = [
    "bench init --checkpoint FOLDER_OR_ID --data my.tsv",
    "bench run --profile my.toml --data my.tsv --model NAMES_hybrid",
    "bench demo --profile my.toml",
    "bench syncs --profile my.toml",
    "bench compare outputs/NAMES/my outputs/NAMES_hybrid/my --profile my.toml",
]
RUN.update(PROFILE_PAGE)


def test_the_page_of_profiles_leads_from_a_checkpoint_to_a_comparison(
    typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = (FIXTURE_DATA / "tiny-mmbench.tsv").read_text().splitlines(keepends=True)
    groups = [int(row.partition("\t")[0]) % 1_000_000 for row in rows[1:]]
    first = list(dict.fromkeys(groups))[:3]
    Path("my.tsv").write_text(
        "".join(row for row, group in zip(rows, [first[0], *groups], strict=True) if group in first)
    )
    checkpoint = str(ROOT / "bench" / "fixture" / "model")
    made = typed(*(word.replace("FOLDER_OR_ID", checkpoint) for word in words(PROFILE_PAGE[0])))
    assert made.code == 0 and "my.tsv: 3 questions in 12 rows" in made.out
    [names] = re.findall(r"--model (\S+)_hybrid", made.out)
    run, shown, watched, compared = (
        [word.replace("NAMES", names) for word in words(line)] for line in PROFILE_PAGE[1:]
    )
    for model in (f"{names}_hybrid", names):
        ran = typed(*run[:-1], model)
        assert ran.code == 0 and f"{model} on my: " in ran.out and "1.0000" in ran.out
    drawn = typed(*shown)
    assert drawn.code == 0 and Path("demo.png").is_file() and "hybrid: " in drawn.out
    waits = typed(*watched)
    assert waits.code == 0 and f"waits: {names}_hybrid" in waits.out and "FAIL" not in waits.out
    page = typed(*compared)
    assert page.code == 0 and "compare.html" in page.out


def test_a_run_s_folder_is_scored_by_the_sheet_in_it(tmp_path: Path, typed: Typed) -> None:
    folder = run_folder(tmp_path / "run", "AAAB")
    scored = typed("score", str(folder))
    assert scored.code == 0 and "0.7500" in scored.out
    (folder / "model_data.xlsx").unlink()
    refused = typed("score", str(folder))
    assert refused.code == 2 and "holds neither a .xlsx nor predictions.jsonl" in refused.err
