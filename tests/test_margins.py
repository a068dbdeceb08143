"""Margins are those of the model's own logits, and a run goes on without them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.arms.models import Answerer, Checkpoint, arm_config, load_checkpoint, resolve_keep
from bench.arms.profiles import load_profile
from bench.evaluation.runs.evaluate import infer_only
from bench.evaluation.runs.job import Job, Options, open_task
from bench.evaluation.runs.margins import FILE, TOKENS, read_margins
from bench.evaluation.runs.predictions import FILE as PREDICTIONS
from bench.evaluation.runs.predictions import SEAL
from bench.evaluation.runs.recording import RecordingAnswerer
from bench.evaluation.statistics.ties import EPSILON, SPACINGS
from bench.tasks import Sample, load_task

PROFILE = load_profile("tiny")
KEEP = resolve_keep(None, PROFILE)
NAMES = [f"sample {i}" for i in range(8)]


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return load_checkpoint(PROFILE)


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return list(load_task("tiny-mmbench", limit=4).samples)


@pytest.mark.parametrize("arm", ["dense", "off", "hybrid"])
def test_recording_changes_no_answer_and_names_every_token_up_to_the_end(
    checkpoint: Checkpoint, samples: list[Sample], arm: str
) -> None:
    config = arm_config(arm, PROFILE, KEEP)
    answerer = RecordingAnswerer(checkpoint, config, arm=arm)
    batch = answerer.encode([s.prompt for s in samples], [s.image() for s in samples])
    plain = Answerer(checkpoint, config)
    ids = plain.new_ids(batch, 8)
    recorded = answerer.answer_recorded(batch, 8, NAMES)
    assert [text for text, _ in recorded] == plain.texts(ids)
    for row, (_, tops) in zip(ids.tolist(), recorded, strict=True):
        end = row.index(answerer.end_ids[0])
        assert tops.ids == tuple(row[: end + 1])
        assert len(tops.logits) == len(tops.ids)
        assert all(top > second for top, second in tops.logits)


def test_the_recorded_logits_are_the_two_largest_of_the_model(
    checkpoint: Checkpoint, samples: list[Sample]
) -> None:
    answerer = RecordingAnswerer(checkpoint, None, arm="dense")
    batch = answerer.encode([s.prompt for s in samples], [s.image() for s in samples])
    with torch.inference_mode():
        logits = checkpoint.llava(**batch, logits_to_keep=1).logits[:, -1]
    expected = logits.topk(2).values
    for arm in (None, arm_config("off", PROFILE, KEEP)):
        recorded = RecordingAnswerer(checkpoint, arm, arm="tested").answer_recorded(batch, 1, NAMES)
        found = torch.tensor([tops.logits[0] for _, tops in recorded])
        torch.testing.assert_close(found, expected)


def test_no_more_than_the_first_tokens_are_recorded(checkpoint: Checkpoint) -> None:
    task = load_task("tiny-coco", limit=6)
    answerer = RecordingAnswerer(checkpoint, arm_config("hybrid", PROFILE, KEEP), arm="hybrid")
    batch = answerer.encode([s.prompt for s in task.samples], [s.image() for s in task.samples])
    recorded = answerer.answer_recorded(batch, 12, NAMES)
    assert max(len(text.split()) for text, _ in recorded) > TOKENS
    for text, tops in recorded:
        assert len(tops.ids) == len(tops.logits) == min(TOKENS, len(text.split()) + 1)


def test_rounding_moves_margins_by_less_than_the_band_and_not_by_far_less(
    checkpoint: Checkpoint,
) -> None:
    """Batches of 16 against one by one: the kernels sum in another order."""
    samples = list(load_task("tiny-mmbench", limit=12).samples)
    answerer = RecordingAnswerer(checkpoint, None, arm="dense")

    def margins(batch_size: int) -> list[tuple[float, float]]:
        found = []
        for start in range(0, len(samples), batch_size):
            part = samples[start : start + batch_size]
            batch = answerer.encode([s.prompt for s in part], [s.image() for s in part])
            found += [tops.logits[0] for _, tops in answerer.answer_recorded(batch, 1, NAMES)]
        return found

    moved = [
        abs((one[0] - one[1]) - (two[0] - two[1])) / (EPSILON["float32"] * one[0])
        for one, two in zip(margins(16), margins(1), strict=True)
    ]
    within = sum(move < SPACINGS for move in moved)
    assert within >= 0.9 * len(moved)  # the largest is a matter of luck and of the library
    assert SPACINGS / 64 < float(np.median(moved)) < SPACINGS / 4


def test_a_run_without_margins_goes_on_and_records_what_is_left(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    options = Options(tmp_path, reuse=False, verbose=False, limit=2, batch_size=4)
    task = open_task("tiny-mmbench", options)
    run, _ = infer_only(checkpoint, Job(PROFILE, "dense", KEEP, task, options))
    whole = (run / PREDICTIONS).read_bytes()
    assert list(read_margins(run, task.indices)) == list(task.indices)
    kept = whole.splitlines(keepends=True)[:6]
    (run / PREDICTIONS).write_bytes(b"".join(kept))
    for ended in (FILE, SEAL):  # an unfinished run has no seal
        (run / ended).unlink()
    again = replace(options, reuse=True)
    infer_only(checkpoint, Job(PROFILE, "dense", KEEP, task, again))
    assert (run / PREDICTIONS).read_bytes() == whole
    assert list(read_margins(run, task.indices)) == list(task.indices)[6:]


def test_captions_have_no_margins(checkpoint: Checkpoint, tmp_path: Path) -> None:
    options = Options(tmp_path, reuse=False, verbose=False, limit=2, batch_size=2)
    task = open_task("tiny-coco", options)
    run, _ = infer_only(checkpoint, Job(PROFILE, "dense", KEEP, task, options))
    assert not (run / FILE).exists()
