"""Inferring and scoring apart, batches, shards, and the status of a run, without a new process."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench.arms.models import Answerer, Checkpoint, arm_config, load_checkpoint, resolve_keep
from bench.arms.profiles import load_profile
from bench.base.errors import UserError
from bench.evaluation.runs.answers import by_length
from bench.evaluation.runs.evaluate import evaluate, infer_only, score_only
from bench.evaluation.runs.job import Job, Options, open_task
from bench.evaluation.runs.predictions import FILE, SEAL, appending, line, merge, read_all
from bench.evaluation.runs.status import find_runs
from bench.tasks import load_task
from tests.task_files import rotations, write_mmbench

PROFILE = load_profile("tiny")
KEEP = resolve_keep(None, PROFILE)
ANSWERED = {FILE, SEAL, "margins.jsonl", "run.json"}  # what a run leaves that is not scored yet


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return load_checkpoint(PROFILE)


def options(work_dir: Path, batch_size: int = 4, *, limit: int = 3, reuse: bool = False) -> Options:
    return Options(work_dir, reuse, False, limit=limit, batch_size=batch_size)


def infer_into(checkpoint: Checkpoint, chosen: Options, data: str = "tiny-mmbench") -> Path:
    task = open_task(data, chosen)
    return infer_only(checkpoint, Job(PROFILE, "hybrid", KEEP, task, chosen))[0]


def score_in(chosen: Options) -> Path:
    task = open_task("tiny-mmbench", chosen)
    return score_only(Job(PROFILE, "hybrid", KEEP, task, chosen))[0]


@pytest.mark.parametrize("arm", ["dense", "hybrid", "random"])
def test_an_answer_does_not_depend_on_its_neighbours(
    checkpoint: Checkpoint, tmp_path: Path, arm: str
) -> None:
    written = set()
    for batch_size in (1, 3, 16):
        chosen = options(tmp_path / str(batch_size), batch_size, limit=6)
        task = open_task("tiny-mmbench", chosen)
        folder, _ = infer_only(checkpoint, Job(PROFILE, arm, KEEP, task, chosen))
        written.add((folder / FILE).read_bytes())
    assert len(written) == 1
    indices = [json.loads(text)["index"] for text in written.pop().splitlines()]
    assert indices == list(task.indices)


def test_batches_are_of_like_lengths_and_questions_stay_together(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    questions = ("what is it ?", "what is the colour of it ?", "what is it ?")
    rows = [rotations(group, question=text) for group, text in enumerate(questions, start=7)]
    task = load_task(write_mmbench(tmp_path / "a.tsv", *rows))
    answerer = Answerer(checkpoint, arm_config("hybrid", PROFILE, KEEP))
    backwards = list(reversed(task.samples))
    ordered = [sample.index for sample in by_length(backwards, task, answerer)]
    assert [index % 1_000_000 for index in ordered] == [8] * 4 + [7] * 4 + [9] * 4
    assert ordered == [sample.index for sample in by_length(task.samples, task, answerer)]


def test_inferring_and_scoring_apart_is_the_same_as_at_once(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = options(tmp_path / "at-once")
    task = open_task("tiny-mmbench", at_once)
    whole, _ = evaluate(checkpoint, Job(PROFILE, "hybrid", KEEP, task, at_once))
    apart = options(tmp_path / "apart")
    run = infer_into(checkpoint, apart)
    assert {path.name for path in run.iterdir()} == ANSWERED
    monkeypatch.setattr(
        "bench.evaluation.runs.evaluate.RecordingAnswerer", None
    )  # scoring has no use for a model
    score_in(apart)
    for name in (FILE, "scores.json", "tiny_hybrid_tiny-mmbench_acc.csv"):
        assert (run / name).read_bytes() == (whole / name).read_bytes()


def test_only_a_complete_run_of_this_data_and_configuration_is_scored(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    chosen = options(tmp_path)
    with pytest.raises(UserError, match="holds no run to score"):
        score_in(chosen)
    run = infer_into(checkpoint, chosen)
    task = open_task("tiny-mmbench", chosen)
    keep = resolve_keep("9", PROFILE)
    with pytest.raises(UserError, match=r"another config.keep \(18, now 9\)"):
        score_only(Job(PROFILE, "hybrid", keep, task, chosen))
    with pytest.raises(UserError, match=r"another data.hash"):
        score_in(replace(chosen, limit=2))
    lines = (run / FILE).read_text().splitlines(keepends=True)
    (run / FILE).write_text("".join(lines[:-2]))
    (run / SEAL).unlink()
    with pytest.raises(UserError, match=r"has 10 of 12 answers: finish it"):
        score_in(chosen)
    assert not (run / "scores.json").exists()


def test_answers_that_were_edited_are_neither_continued_nor_scored(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    chosen = options(tmp_path)
    run = infer_into(checkpoint, chosen)
    whole = (run / FILE).read_text()
    (run / FILE).write_text(whole.replace("A", "B"))
    assert (run / FILE).read_text() != whole
    with pytest.raises(UserError, match=r"predictions.jsonl is not what the run wrote"):
        score_in(chosen)
    with pytest.raises(UserError, match=r"predictions.jsonl is not what the run wrote"):
        infer_into(checkpoint, replace(chosen, reuse=True))
    (run / FILE).write_text(whole)
    score_in(chosen)


@pytest.mark.parametrize("answers", [FILE, "predictions.rank-0.jsonl"])
def test_a_scored_run_without_its_seal_is_refused(
    checkpoint: Checkpoint, tmp_path: Path, answers: str
) -> None:
    """Scores come after the seal, so without it somebody took it away."""
    chosen = options(tmp_path)
    run = infer_into(checkpoint, chosen)
    score_in(chosen)
    whole = (run / FILE).read_text()
    (run / FILE).unlink()
    (run / answers).write_text(whole.replace('"prediction": "', '"prediction": "not '))
    (run / SEAL).unlink()
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    said = rf"holds scores.json and no {SEAL}.*: restore it, or remove the folder, or run again"
    with pytest.raises(UserError, match=said):
        infer_into(checkpoint, replace(chosen, reuse=True))
    with pytest.raises(UserError, match=said):
        score_in(chosen)
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before
    assert infer_into(checkpoint, chosen) == run  # anew
    assert (run / FILE).read_text() == whole


def test_a_run_of_other_data_is_not_continued_and_answers_without_run_json_neither(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    run = infer_into(checkpoint, options(tmp_path))
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    with pytest.raises(UserError, match=r"another data.hash"):
        infer_into(checkpoint, options(tmp_path, limit=4, reuse=True))
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before
    (run / "run.json").unlink()
    with pytest.raises(UserError, match=r"no run\.json"):
        infer_into(checkpoint, options(tmp_path, reuse=True))


def test_answers_of_any_number_of_ranks_are_taken_over(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    whole = infer_into(checkpoint, options(tmp_path / "whole"))
    run = infer_into(checkpoint, options(tmp_path / "parts"))
    lines = (whole / FILE).read_text().splitlines(keepends=True)
    (run / SEAL).unlink()
    (run / FILE).write_text(lines[5])
    (run / "predictions.rank-0.jsonl").write_text("".join(lines[::3]))
    (run / "predictions.rank-2.jsonl").write_text("".join(lines[2::3]) + '{"index": 9')
    (status,) = find_runs(run)
    assert (status.answered, status.samples, status.complete) == (8, 12, False)
    assert infer_into(checkpoint, options(tmp_path / "parts", reuse=True)) == run
    assert (run / FILE).read_bytes() == (whole / FILE).read_bytes()
    assert {path.name for path in run.iterdir()} == ANSWERED


def test_two_different_answers_to_one_sample_are_refused(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(line(1, "A"))
    (tmp_path / "predictions.rank-0.jsonl").write_text(line(1, "A") + line(2, "B"))
    assert read_all(tmp_path, {1, 2}, repair=True) == {1: "A", 2: "B"}
    (tmp_path / "predictions.rank-1.jsonl").write_text(line(1, "C"))
    with pytest.raises(UserError, match=r"rank-1.jsonl: answers sample 1 otherwise"):
        read_all(tmp_path, {1, 2}, repair=True)


def test_a_merge_stands_in_the_order_of_the_data(tmp_path: Path) -> None:
    (tmp_path / "predictions.rank-0.jsonl").write_text(line(1, "A") + line(2, "B"))
    merge(tmp_path, {1: "A", 2: "B"}, [2, 1])
    assert (tmp_path / FILE).read_text() == line(2, "B") + line(1, "A")
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_a_file_is_written_by_one_process_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / FILE
    with (
        appending(path),
        pytest.raises(UserError, match="another process is writing"),
        appending(path),
    ):
        pass


def test_status_says_how_far_a_run_is(checkpoint: Checkpoint, tmp_path: Path) -> None:
    chosen = options(tmp_path)
    run = infer_into(checkpoint, chosen)
    (status,) = find_runs(tmp_path)
    assert status.complete and status.rate is not None and status.rate > 0
    assert "12 of 12, answered, not scored" in status.text() and "keep 18" in status.text()
    score_in(chosen)
    assert "12 of 12, complete" in find_runs(run)[0].text()
    (run / FILE).write_text(line(8, "A") + '{"index":')  # amid a write
    assert "1 of 12, not complete" in find_runs(run)[0].text()
    (run / "run.json").write_text("{}")
    with pytest.raises(UserError, match=r"run.json is damaged"):
        find_runs(run)
    with pytest.raises(UserError, match="neither a run nor a work dir"):
        find_runs(tmp_path / "nowhere")


def test_a_full_disk_leaves_what_was_written(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = options(tmp_path)
    calls = 0

    def full_after_one_batch(index: int, answer: str) -> str:
        nonlocal calls
        calls += 1
        if calls > chosen.batch_size:  # type: ignore[operator]
            raise OSError(28, "No space left on device")
        return line(index, answer)

    monkeypatch.setattr("bench.evaluation.runs.loop.line", full_after_one_batch)
    with pytest.raises(UserError, match=r"No space left on device; .* continue with --reuse"):
        infer_into(checkpoint, chosen)
    (status,) = find_runs(tmp_path)
    assert status.answered == 4
    monkeypatch.setattr("bench.evaluation.runs.loop.line", line)
    infer_into(checkpoint, replace(chosen, reuse=True))
    assert find_runs(tmp_path)[0].complete


def test_other_commands_refuse_torchrun(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match="under torchrun only"):
        infer_into(checkpoint, options(tmp_path))
    assert not any(tmp_path.iterdir())
