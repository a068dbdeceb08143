"""A run from its job to its score."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from bench.arms.models import Checkpoint
from bench.arms.vocabulary import said
from bench.base.errors import UserError
from bench.base.remark import remark
from bench.cost.budget import Counted
from bench.evaluation.runs import forced
from bench.evaluation.runs.identity import RUN_FILE, read_document
from bench.evaluation.runs.job import Job
from bench.evaluation.runs.lock import locked
from bench.evaluation.runs.loop import infer, saved_predictions, write_score
from bench.evaluation.runs.meeting import meet
from bench.evaluation.runs.ranks import world_size
from bench.evaluation.runs.recording import RecordingAnswerer
from bench.tasks import Score


def meet_ranks(job: Job, held: ExitStack) -> None:
    """Before a model is loaded: the folder's name is one, and all ranks of the run see and run
    the same, as `bench.evaluation.runs.meeting.meet` says."""
    meet(job.folder, job.spec(), job.options.ranks, held)


def evaluate(checkpoint: Checkpoint, job: Job) -> tuple[Path, Score]:
    """Run it into `<work-dir>/<model>/<data>`; returns that folder and the score."""
    with ExitStack() as held:
        return job.folder, _score(job, _infer(checkpoint, job, held))


def infer_only(checkpoint: Checkpoint, job: Job) -> tuple[Path, Mapping[int, str]]:
    """Answer without scoring; returns the run's folder and its predictions."""
    with ExitStack() as held:
        predictions = _infer(checkpoint, job, held)
        _tell(job)
        return job.folder, predictions


def score_only(job: Job) -> tuple[Path, Score]:
    """Score the answers of a complete run; loads no model."""
    if not job.folder.is_dir():
        raise UserError(f"{job.folder} holds no run to score: run without --mode eval first")
    with locked(job.folder):
        return job.folder, _score(job, saved_predictions(job.folder, job.task, job.spec()))


def _infer(checkpoint: Checkpoint, job: Job, held: ExitStack) -> Mapping[int, str]:
    if world_size() != job.options.ranks.size:
        raise UserError("under torchrun only `python -m bench run` works; start this one without")
    hashes = {"weights": checkpoint.weights_hash, "processor": checkpoint.processor_hash}
    counted = Counted(checkpoint.llava.config, checkpoint.llava.dtype, job.profile.data)
    spec = job.spec(checkpoint.files, **hashes)
    return infer(
        job.folder,
        job.task,
        RecordingAnswerer(checkpoint, job.config, arm=job.name),
        replace(spec, budget=counted.budget(job.config)),
        reuse=job.options.reuse,
        verbose=job.options.verbose,
        held=held,
        ranks=job.options.ranks,
    )


def _score(job: Job, predictions: Mapping[int, str]) -> Score:
    score = write_score(job.folder, job.task, job.name, predictions)
    _tell(job)
    return score


def _tell(job: Job) -> None:
    """What a user should know of the answers."""
    record = read_document(job.folder / RUN_FILE).get("unknown_words")
    counted = forced.read_forced(job.folder, job.task.indices)
    name = job.task.name
    for line in (said(record, len(job.task.indices), name), forced.said(counted, job.name, name)):
        if line:
            remark(line)
