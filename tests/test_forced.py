"""What a schedule forced on each image is recorded with the run, and the end of a run says it."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bench.arms.models import Checkpoint, arm_config, load_checkpoint, resolve_keep
from bench.arms.profiles import load_profile
from bench.base.remark import remarks
from bench.evaluation.runs.evaluate import evaluate, infer_only, score_only
from bench.evaluation.runs.forced import FILE, read_forced, said
from bench.evaluation.runs.job import Job, Options, open_task
from bench.evaluation.runs.predictions import FILE as PREDICTIONS
from bench.evaluation.runs.predictions import SEAL
from bench.evaluation.runs.recording import RecordingAnswerer
from bench.tasks import Task
from hybrid.calibrate.schedule import Counting, Live
from hybrid.methods.dtome import DToMe
from hybrid.vision import VisionTower

TINY = load_profile("tiny")
KEEP = resolve_keep(None, TINY)
LIMIT = 6  # questions


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return load_checkpoint(TINY)


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    return open_task("tiny-mmbench", options(tmp_path_factory.mktemp("none")))


@pytest.fixture(scope="module")
def live(checkpoint: Checkpoint, task: Task) -> Live:
    """What thresholds alone leave of each sample's image, counted by calibration."""
    thresholds = TINY.reduction.thresholds
    assert thresholds is not None
    counting = Counting(DToMe(thresholds))
    tower = VisionTower(checkpoint.llava.model.vision_tower, -2, counting)
    encode = RecordingAnswerer(checkpoint, arm_config("off", TINY, KEEP), arm="off").encode
    pixels = encode([s.prompt for s in task.samples], [s.image() for s in task.samples])
    with torch.inference_mode():
        tower(pixels["pixel_values"])
    return Live(tower.patches, len(thresholds), torch.stack(counting.left, dim=1).tolist())


def options(folder: Path, *, reuse: bool = False) -> Options:
    return Options(folder, reuse=reuse, verbose=False, limit=LIMIT, batch_size=8)


def scheduled(schedule: tuple[int, ...], folder: Path, task: Task, *, reuse: bool = False) -> Job:
    profile = replace(TINY, reduction=replace(TINY.reduction, schedule=schedule))
    return Job(profile, "dymu", KEEP, task, options(folder, reuse=reuse))


def in_the_middle(live: Live) -> tuple[int, ...]:
    """Room for some of the images and not for others."""
    sizes = [sorted(block)[len(block) // 2] for block in zip(*live.counts, strict=True)]
    return (*sizes, sizes[-1])


def test_a_run_counts_the_images_that_calibration_counts(
    checkpoint: Checkpoint,
    task: Task,
    live: Live,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    schedule = in_the_middle(live)
    expected = [
        any(n > slots for n, slots in zip(row, schedule, strict=False)) for row in live.counts
    ]
    assert 0 < sum(expected) < len(expected), "without both this says nothing"
    with remarks():
        folder, _ = evaluate(checkpoint, scheduled(schedule, tmp_path, task))
    forced = read_forced(folder, task.indices)
    assert [forced[index] > 0 for index in task.indices] == expected
    share = f"{sum(expected)} of {len(expected)} samples of tiny-mmbench"
    told = f"note: tiny_dymu's schedule forced merges on the images of {share}"
    assert told in capsys.readouterr().err
    with remarks():
        score_only(scheduled(schedule, tmp_path, task))
    assert told in capsys.readouterr().err


def test_room_for_each_image_forces_nothing_and_says_so(
    checkpoint: Checkpoint,
    task: Task,
    live: Live,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with remarks():
        folder, _ = infer_only(checkpoint, scheduled(live.schedule(), tmp_path, task))
    assert set(read_forced(folder, task.indices).values()) == {0}
    assert "forced merges on the images of 0 of" in capsys.readouterr().err


def test_without_a_schedule_nothing_is_counted_and_nothing_said(
    checkpoint: Checkpoint, task: Task, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arm in ("dense", "dymu"):
        with remarks():
            folder, _ = infer_only(checkpoint, Job(TINY, arm, KEEP, task, options(tmp_path)))
        assert not (folder / FILE).exists()
    assert "forced" not in capsys.readouterr().err


def test_a_run_that_goes_on_counts_each_sample_once(
    checkpoint: Checkpoint, task: Task, live: Live, tmp_path: Path
) -> None:
    schedule = in_the_middle(live)
    folder, _ = infer_only(checkpoint, scheduled(schedule, tmp_path, task))
    whole = {name: (folder / name).read_bytes() for name in (PREDICTIONS, FILE)}
    answers = whole[PREDICTIONS].splitlines(keepends=True)
    counts = whole[FILE].splitlines(keepends=True)
    (folder / PREDICTIONS).write_bytes(b"".join(answers[:5]))
    (folder / FILE).write_bytes(b"".join(counts[:7]) + counts[8][:6])  # ended in the midst
    (folder / SEAL).unlink()
    infer_only(checkpoint, scheduled(schedule, tmp_path, task, reuse=True))
    assert {name: (folder / name).read_bytes() for name in whole} == whole
    assert f"  {FILE}\n" in (folder / SEAL).read_text()


def test_what_is_said() -> None:
    assert said({}, "m", "d") == ""
    assert said({1: 0, 2: 0}, "m", "d") == (
        "m's schedule forced merges on the images of 0 of 2 samples of d (0.0%)"
    )
    assert said({1: 0, 2: 3, 3: 7, 4: 0}, "m", "d") == (
        "m's schedule forced merges on the images of 2 of 4 samples of d (50.0%), 7 on one of them"
    )
