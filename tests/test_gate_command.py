"""`python -m bench gate`: what it says of near-ties and categories, and what it refuses.

Each refusal is exit code 2 with one line: nothing that was not measured may look like a PASS.
"""

import io
import json
import re
import shutil
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from bench.arms.models import Checkpoint, load_checkpoint
from bench.arms.profiles import FOLDER, load_profile
from bench.base.verdict import Outcome
from bench.cli import main
from bench.evaluation.references import load_reference
from bench.evaluation.references.record import add_run
from bench.evaluation.runs.margins import FILE as MARGINS
from bench.evaluation.runs.predictions import FILE, SEAL, seal
from bench.gates import quality
from bench.gates.accuracy import accuracy_gate, floor_on, recorded_gate
from bench.tasks.load import FIXTURE_DATA
from bench.tasks.subsets import load_subset
from tests.compare_runs import keep_letters

CAPTIONS = "llava_v1.5_7b_hybrid_COCO_VAL"
LIMIT = 4
PRINTED = "printed.txt"
COMMAND = ("gate", "--arm", "random", "--limit", str(LIMIT))
Answer = tuple[int, str, str]
Gate = Callable[..., Answer]


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return load_checkpoint(load_profile("tiny"))


@pytest.fixture
def gate(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], checkpoint: Checkpoint
) -> Gate:
    """Exit code, standard output and error of the command."""
    monkeypatch.setattr(quality, "load_checkpoint", lambda profile: checkpoint)

    def run(*arguments: str) -> Answer:
        capsys.readouterr()
        monkeypatch.setattr("sys.argv", ["bench", *arguments])
        with pytest.raises(SystemExit) as exited:
            main()
        printed = capsys.readouterr()
        return int(exited.value.code or 0), printed.out, printed.err

    return run


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, checkpoint: Checkpoint) -> Path:
    """The work dir of a gate on an arm that really answers worse."""
    work_dir = tmp_path_factory.mktemp("gate") / "outputs"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quality, "load_checkpoint", lambda profile: checkpoint)
        patch.setattr("sys.argv", ["bench", *COMMAND, "--work-dir", str(work_dir)])
        with pytest.raises(SystemExit), redirect_stdout(io.StringIO()) as printed:
            main()
    (work_dir / PRINTED).write_text(printed.getvalue())
    return work_dir


@pytest.fixture
def work_dir(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "outputs"))


def numbers(work_dir: Path, gate: str) -> dict[str, float]:
    verdicts = json.loads((work_dir / "accuracy-verdicts.json").read_text())
    (found,) = [verdict["numbers"] for verdict in verdicts if verdict["gate"] == gate]
    return dict(found)


def edit_text(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def edit(path: Path, change: Callable[[Any], None]) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def test_real_flips_are_called_real_and_categories_are_kept_as_numbers(
    gate: Gate, work_dir: Path
) -> None:
    code, out, _ = gate(*COMMAND, "--work-dir", str(work_dir), "--reuse")
    assert code == 1
    found = numbers(work_dir, "tiny-mmbench/paired")
    assert found["lost"] >= 1 and found["margins_missing"] == 0
    assert found["lost_real"] + found["lost_near_tie"] == found["lost"]
    assert f"({found['lost_real']} real + {found['lost_near_tie']} near-tie)" in out
    assert found["lost_real"] >= 1
    rows = [name for name in found if name.startswith("category/l2-category/")]
    assert sum(found[name] for name in rows if name.endswith("/n")) == LIMIT
    assert sum(found[name] for name in rows if name.endswith("/lost")) == found["lost"]
    assert "Holm p" in out


def p_without_a_side(text: str) -> list[str]:
    """Words, cells, column heads and properties that name a p, and not of which side."""
    text = re.sub(r"<style>.*?</style>|<svg.*?</svg>|</?p\b[^>]*>", "\n", text, flags=re.DOTALL)
    parts = re.split(r"\n|\||;|  |</t[hd]>", text)
    named = [part for part in parts if re.search(r"(?<![A-Za-z0-9.-])p(?![A-Za-z0-9-])", part)]
    return [part for part in named if not re.search("(one|two)[-_]sided", part)]


def test_compare_and_gate_say_the_same_p_of_a_pair_and_of_which_sides(
    gate: Gate, work_dir: Path
) -> None:
    found = numbers(work_dir, "tiny-mmbench/paired")
    one, two = f"{found['mcnemar_p_one_sided']:.2g}", f"{found['mcnemar_p_two_sided']:.2g}"
    assert one != two  # questions were lost
    page = work_dir / "compare.html"
    runs = [str(work_dir / model / "tiny-mmbench") for model in ("tiny", "tiny_random")]
    rest = ("--margin", "0.03", "--no-pictures", "--output", str(page))
    _, compared, _ = gate("compare", *runs, *rest)
    [row] = [line.split() for line in compared.splitlines() if line.startswith("circular")]
    assert row[-2:] == [one, two]
    texts = {"compare": compared, "page": page.read_text()}
    reports = (PRINTED, "accuracy-report.md", "accuracy-report.html", "accuracy-junit.xml")
    texts |= {name: (work_dir / name).read_text() for name in reports}
    for name, text in texts.items():
        assert f"p = {one} one-sided, {two} two-sided" in text, name
        assert p_without_a_side(text) == [], name


def test_flips_within_rounding_are_called_near_ties(gate: Gate, work_dir: Path) -> None:
    """The same answers, with margins as a half-broken tie would have left them."""
    for path in work_dir.glob(f"*/tiny-mmbench/{MARGINS}"):
        rows = [json.loads(text) for text in path.read_text().splitlines()]
        for row in rows:
            row["logits"] = [[top, top - 1e-6] for top, _ in row["logits"]]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        seal(path.parent)
    code, out, _ = gate(*COMMAND, "--work-dir", str(work_dir), "--reuse")
    found = numbers(work_dir, "tiny-mmbench/paired")
    assert code == 1  # counted all the same
    assert found["lost_near_tie"] == found["lost"] and found["lost_real"] == 0
    assert f"(0 real + {found['lost']} near-tie)" in out


def test_runs_without_margins_are_judged_and_the_gate_says_so(gate: Gate, work_dir: Path) -> None:
    (work_dir / "tiny" / "tiny-mmbench" / MARGINS).unlink()
    seal(work_dir / "tiny" / "tiny-mmbench")
    code, out, _ = gate(*COMMAND, "--work-dir", str(work_dir), "--reuse")
    assert code == 1 and "(margins not recorded)" in out


def test_a_baseline_of_ones_own_gives_the_same_verdicts(gate: Gate, work_dir: Path) -> None:
    before = json.loads((work_dir / "accuracy-verdicts.json").read_text())
    baseline = shutil.move(work_dir / "tiny", work_dir / "kept")
    code, _, _ = gate(*COMMAND, "--work-dir", str(work_dir), "--reuse", "--against", str(baseline))
    assert code == 1 and not (work_dir / "tiny").exists()
    after = json.loads((work_dir / "accuracy-verdicts.json").read_text())
    assert [v["numbers"] for v in after] == [v["numbers"] for v in before]
    assert "points against tiny, " in after[0]["reason"]


RUN, SCORES = "tiny-mmbench/run.json", "tiny-mmbench/scores.json"
COCO = "tiny-coco/scores.json"


def entry(*keys: str, value: object) -> Callable[[Any], None]:
    def change(document: Any) -> None:
        for key in keys[:-1]:
            document = document[key]
        assert keys[-1] in document
        document[keys[-1]] = value

    return change


def first_value(value: object) -> Callable[[Any], None]:
    def change(document: Any) -> None:
        document["values"][next(iter(document["values"]))] = value

    return change


@pytest.mark.parametrize(
    ("file", "change", "named"),
    [
        (RUN, entry("data", "hash", value="sha256:0"), "they differ in data: "),
        (RUN, entry("data", "prompts", value="sha256:0"), "they differ in prompts: "),
        (RUN, entry("data", "images", value="padded to square"), "they differ in images: "),
        (RUN, entry("data", "weights", value="sha256:0"), "they differ in weights: "),
        (RUN, entry("data", "processor", value="sha256:0"), "they differ in processor: "),
        (RUN, entry("dtype", value="float16"), "they differ in dtype: "),
        (RUN, entry("max_new_tokens", value=1), "they differ in max_new_tokens: "),
        (SCORES, entry("recipe", "prompt", value="llava"), "they differ in prompt: "),
        (SCORES, entry("recipe", "matcher", value="lmms-2024"), "they differ in matcher: "),
        (COCO, entry("recipe", "tokeniser", value="ptb"), "they differ in tokeniser: "),
        (COCO, first_value(float("nan")), "scores.json is damaged"),
        (COCO, first_value("0.5"), "'values.0': 'Input should be a valid number'"),
    ],
)
def test_a_foreign_baseline_is_refused_and_what_differs_is_named(
    gate: Gate, work_dir: Path, file: str, change: Callable[[Any], None], named: str
) -> None:
    baseline = shutil.move(work_dir / "tiny", work_dir / "kept")
    edit(Path(baseline) / file, change)
    refused(
        gate(*COMMAND, "--work-dir", str(work_dir), "--reuse", "--against", str(baseline)), named
    )


def refused(answer: Answer, named: str) -> None:
    code, out, err = answer
    assert code == 2, err
    assert named in err and err.startswith("error: ") and err.count("\n") == 1
    assert "PASS" not in out


def test_a_baseline_of_another_subset_is_refused(gate: Gate, work_dir: Path) -> None:
    baseline = work_dir / "tiny"
    arguments = ("--work-dir", str(work_dir.parent / "new"), "--against", str(baseline))
    refused(gate("gate", "--limit", str(LIMIT - 1), *arguments), "they differ in data: ")


@pytest.mark.parametrize("arm", ["tiny", "tiny_random"])
@pytest.mark.parametrize("data", ["tiny-mmbench", "tiny-coco"])
def test_edited_answers_are_refused(gate: Gate, work_dir: Path, arm: str, data: str) -> None:
    path = work_dir / arm / data / FILE
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([json.dumps({"index": 0, "prediction": "D"}) + "\n", *lines[1:]]))
    refused(
        gate(*COMMAND, "--work-dir", str(work_dir), "--reuse"),
        f"{path} is not what the run wrote ({SEAL} says so)",
    )


@pytest.mark.parametrize("data", ["tiny-mmbench", "tiny-coco"])
def test_edited_answers_of_a_baseline_are_refused(gate: Gate, work_dir: Path, data: str) -> None:
    baseline = Path(shutil.move(work_dir / "tiny", work_dir / "kept"))
    path = baseline / data / FILE
    path.write_text(path.read_text().replace('"prediction": "', '"prediction": "no '))
    arguments = ("--work-dir", str(work_dir), "--reuse", "--against", str(baseline))
    refused(gate(*COMMAND, *arguments), "is not what the run wrote")
    (baseline / data / SEAL).unlink()
    refused(gate(*COMMAND, *arguments), f"holds scores.json and no {SEAL}")


def test_a_missing_arm_is_refused(gate: Gate, work_dir: Path, tmp_path: Path) -> None:
    refused(gate("gate", "--arm", "nosuch", "--work-dir", str(tmp_path / "new")), "no arm 'nosuch'")
    baseline = Path(shutil.move(work_dir / "tiny", work_dir / "kept"))
    shutil.rmtree(baseline / "tiny-coco")
    arguments = ("--work-dir", str(work_dir), "--reuse", "--against", str(baseline))
    refused(gate(*COMMAND, *arguments), "holds no run on tiny-coco")
    (baseline / "tiny-mmbench" / "scores.json").unlink()
    refused(gate(*COMMAND, *arguments), "scores.json is missing")


def test_no_samples_are_refused(gate: Gate, tmp_path: Path) -> None:
    code, out, _ = gate("gate", "--limit", "0", "--work-dir", str(tmp_path / "new"))
    assert code == 2 and "PASS" not in out
    header = (FIXTURE_DATA / "tiny-mmbench.tsv").read_text().splitlines()[0]
    (tmp_path / "empty.tsv").write_text(header + "\n")
    profile = (FOLDER / "tiny.toml").read_text()
    data = f'mmbench = "{tmp_path / "empty.tsv"}"'
    (tmp_path / "mine.toml").write_text(profile.replace('mmbench = "tiny-mmbench"', data))
    arguments = ("--profile", str(tmp_path / "mine.toml"), "--work-dir", str(tmp_path / "new"))
    refused(gate("gate", *arguments), "empty.tsv")


def test_the_prompts_of_both_data_sets_can_be_chosen(gate: Gate, work_dir: Path) -> None:
    arguments = ("--work-dir", str(work_dir), "--reuse")
    refused(gate(*COMMAND, *arguments, "--prompt", "llava"), "another data.prompts")
    refused(gate(*COMMAND, *arguments, "--prompt", "nosuch"), "unknown prompt 'nosuch'")
    refused(gate(*COMMAND, *arguments, "--caption-prompt", "nosuch"), "unknown prompt 'nosuch'")


def test_on_fewer_questions_the_floor_is_what_its_reference_scored_there(
    gate: Gate, work_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_letters(tmp_path, "recorded", wrong={0}, questions=range(99))
    monkeypatch.setenv("VLM_HYBRID_REFERENCES", str(tmp_path))
    text = (FOLDER / "tiny.toml").read_text()
    (tmp_path / "mine.toml").write_text(
        text.replace("floor = 0.97", 'floor = 0.97\nreference = "recorded"')
    )
    arguments = ("--profile", str(tmp_path / "mine.toml"), "--work-dir", str(work_dir), "--reuse")
    gate(*COMMAND, *arguments)
    assert numbers(work_dir, "tiny-mmbench/floor")["bound"] == 0.75
    keep_letters(tmp_path, "other-questions", wrong={0}, questions=range(4, 9))
    edit_text(tmp_path / "mine.toml", '"recorded"', '"other-questions"')
    refused(gate(*COMMAND, *arguments), "other-questions lacks row 0")
    refused(gate(*COMMAND, *arguments, "--matcher", "lmms-2024"), "whose matcher is vlmevalkit")


def test_both_arms_are_paired_with_their_recorded_runs(
    gate: Gate, work_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against each other they may be equal and both be worse than they were."""
    keep_letters(tmp_path, "hybrid-before", wrong={1}, questions=range(9))
    keep_letters(tmp_path, "dense-before", wrong=(), questions=range(LIMIT))
    keep_letters(tmp_path, "too-few", wrong=(), questions=[0, 1, 3])
    monkeypatch.setenv("VLM_HYBRID_REFERENCES", str(tmp_path))
    names = 'reference = "hybrid-before"\ndense_reference = "dense-before"\nrecorded_margin = 0.2'
    text = (FOLDER / "tiny.toml").read_text().replace("floor = 0.97", f"floor = 0.97\n{names}")
    (tmp_path / "mine.toml").write_text(text)
    arguments = ("--profile", str(tmp_path / "mine.toml"), "--work-dir", str(tmp_path / "out"))
    gate("gate", "--limit", str(LIMIT), *arguments)
    found = numbers(tmp_path / "out", "tiny-mmbench/hybrid/against-recorded")
    assert (found["gained"], found["lost"], found["bound"]) == (1, 0, -0.2)
    found = numbers(tmp_path / "out", "tiny-mmbench/dense/against-recorded")
    assert (found["gained"], found["lost"], found["questions"]) == (0, 0, LIMIT)
    edit_text(tmp_path / "mine.toml", '"dense-before"', '"too-few"')
    refused(gate("gate", "--limit", str(LIMIT), *arguments, "--reuse"), "too-few lacks row 2")
    refused(gate("gate", *arguments, "--matcher", "lmms-2024"), "is vlmevalkit-2025-04 and not")
    edit_text(tmp_path / "mine.toml", '"too-few"', f'"{CAPTIONS}"')
    refused(gate("gate", *arguments), f"{CAPTIONS} is of coco, not of mmbench")


def test_captions_are_paired_with_the_recorded_ones(
    gate: Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scored on the images of this run: CIDEr weighs words by the images that are asked."""
    limit = ("--limit", "5")
    gate("gate", *limit, "--work-dir", str(tmp_path))
    run = tmp_path / "tiny_hybrid" / "tiny-coco"
    monkeypatch.setenv("VLM_HYBRID_REFERENCES", str(tmp_path))
    add_run(run, "same", None)
    text = (FOLDER / "tiny.toml").read_text()
    assert "floor = 5.5" in text
    names = 'reference = "same"\nrecorded_margin = 0.2'
    (tmp_path / "mine.toml").write_text(text.replace("floor = 5.5", f"floor = 5.5\n{names}"))
    arguments = ("gate", "--profile", str(tmp_path / "mine.toml"), "--work-dir", str(tmp_path))
    gate(*arguments, *limit, "--reuse")
    found = numbers(tmp_path, "tiny-coco/hybrid/against-recorded")
    assert (found["value"], found["images"], found["bound"]) == (0.0, 5, -0.2)
    gate(*arguments, "--limit", "3")
    found = numbers(tmp_path, "tiny-coco/hybrid/against-recorded")
    assert (found["value"], found["images"]) == (0.0, 3)
    refused(gate(*arguments, "--limit", "6"), "same lacks image")
    gate(*arguments, *limit, "--arm", "dymu")  # the recorded run is the hybrid's
    assert "against-recorded" not in (tmp_path / "accuracy-verdicts.json").read_text()
    refused(gate(*arguments, "--caption-prompt", "one-sentence"), "whose prompt is vlmevalkit and")


def test_captions_are_asked_for_in_the_profile_s_words(gate: Gate, tmp_path: Path) -> None:
    text = (FOLDER / "tiny.toml").read_text()
    text = text.replace("[data]\n", '[data]\ncoco_prompt = "one-sentence"\n')
    (tmp_path / "mine.toml").write_text(text)
    arguments = ("--limit", "2", "--work-dir", str(tmp_path))
    gate("gate", "--profile", str(tmp_path / "mine.toml"), *arguments)
    run = json.loads((tmp_path / "tiny_hybrid" / "tiny-coco" / "scores.json").read_text())
    assert run["recipe"]["prompt"] == "one-sentence"


@pytest.mark.parametrize("full", [True, False])
def test_the_recorded_runs_pass_the_real_profile_s_own_gates(full: bool) -> None:
    """Margins that a run as good as the recorded one can't meet would be of no use."""
    bounds, data = load_profile("llava-1.5-7b").mmbench, load_profile("llava-1.5-7b").data
    assert (
        bounds is not None and bounds.reference and bounds.dense_reference and data.mmbench_subset
    )
    hybrid, dense = load_reference(bounds.reference), load_reference(bounds.dense_reference)
    ids = list(hybrid) if full else load_subset(data.mmbench_subset)
    hits, before = {i: hybrid[i] for i in ids}, {i: dense[i] for i in ids}
    margin = bounds.margin if full else bounds.subset_margin
    assert margin is not None
    floor = bounds.floor if full else floor_on(hybrid, ids)
    verdicts = accuracy_gate(
        hits=hits, reference_hits=before, margin=margin, floor=floor, reproduce="-"
    )
    verdicts += [
        recorded_gate(
            hits=run,
            recorded_hits=recorded,
            margin=bounds.recorded_margin,
            reproduce="-",
            reference="-",
            gate="-",
        )
        for run, recorded in ((hits, hybrid), (before, dense))
    ]
    assert [verdict.outcome for verdict in verdicts] == [Outcome.PASS] * 4


def test_the_element_type_can_be_chosen_and_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def bench(*arguments: str) -> int:
        monkeypatch.setattr("sys.argv", ["bench", "gate", "--limit", "2", *arguments])
        with pytest.raises(SystemExit) as exited:
            main()
        return int(exited.value.code or 0)

    bench("--dtype", "bfloat16", "--work-dir", str(tmp_path))
    run = json.loads((tmp_path / "tiny_hybrid" / "tiny-mmbench" / "run.json").read_text())
    assert run["dtype"] == "bfloat16"
    capsys.readouterr()
    assert bench("--dtype", "int8") == 2
    assert "no dtype 'int8': choose one of float32" in capsys.readouterr().err


def test_a_profile_s_subsets_are_asked_unless_everything_is_wanted(
    gate: Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_letters(tmp_path, "recorded", wrong={0}, questions=range(3))
    monkeypatch.setenv("VLM_HYBRID_REFERENCES", str(tmp_path))
    (tmp_path / "questions.txt").write_text("0\n2\n")
    (tmp_path / "images.txt").write_text("".join(f"{image}\n" for image in range(5)))
    text = (FOLDER / "tiny.toml").read_text()
    subsets = "".join(
        f'{data}_subset = "{tmp_path / file}"\n'
        for data, file in (("mmbench", "questions.txt"), ("coco", "images.txt"))
    )
    text = text.replace("batch_size = 16\n", f"batch_size = 16\n{subsets}")
    text = text.replace("floor = 0.97", 'floor = 0.97\nreference = "recorded"\nsubset_margin = 0.5')
    (tmp_path / "mine.toml").write_text(text)
    arguments = ("gate", "--profile", str(tmp_path / "mine.toml"), "--work-dir", str(tmp_path))
    gate(*arguments)
    assert numbers(tmp_path, "tiny-mmbench/paired")["questions"] == 2
    assert numbers(tmp_path, "tiny-mmbench/paired")["bound"] == -0.5
    assert numbers(tmp_path, "tiny-mmbench/floor")["bound"] == 0.5
    assert numbers(tmp_path, "tiny-coco/paired")["images"] == 5
    code, _, _ = gate(*arguments, "--full", "--limit", "3")
    assert numbers(tmp_path, "tiny-mmbench/paired")["questions"] == 3
    assert numbers(tmp_path, "tiny-mmbench/paired")["bound"] == -0.03
    (tmp_path / "questions.txt").write_text("none\n")
    code, _, error = gate(*arguments)
    assert code == 2 and "'none' is not an index" in error and error.count("\n") == 1
