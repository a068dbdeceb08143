"""One evaluation run: infer what is missing, flush each answer, resume after any interruption.

A run is a folder: `run.json` (what exactly ran), `predictions.jsonl` (one line a sample, see
`bench.runs.predictions`), `margins.jsonl` (how near those answers were, see `bench.runs.margins`),
`scores.json`, and VLMEvalKit's own files beside them.
"""

import contextlib
import hashlib
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from rich.progress import MofNCompleteColumn, ProgressColumn
from rich.progress import Task as ProgressTask
from rich.text import Text

import hybrid
from bench.errors import UserError
from bench.models import Answerer
from bench.progress import progress
from bench.runs import margins
from bench.runs.predictions import FILE, appending, demand_sealed, line, merge, read_all, seal
from bench.runs.ranks import ALONE, Ranks
from bench.runs.recording import RecordingAnswerer
from bench.tasks import Sample, Score, Task
from bench.tasks.atomic import write_atomically

# What a resumed run must share with the one that it continues.
IDENTITY = ("model", "config", "data", "max_new_tokens", "dtype", "code", "versions")
# What scoring must share with the run that answered: neither weights nor code are at hand.
SCORED_IDENTITY = ("model", "config", "data", "max_new_tokens")


@dataclass(frozen=True)
class RunSpec:
    """What a run's answers depend on, all of it; written to run.json."""

    model: str
    config: Mapping[str, Any]
    data: Mapping[str, str]
    max_new_tokens: int
    batch_size: int
    dtype: str
    device: str

    def document(self) -> dict[str, Any]:
        """For run.json."""
        return {
            "model": self.model,
            "config": dict(self.config),
            "data": dict(self.data),
            "max_new_tokens": self.max_new_tokens,
            "dtype": self.dtype,
            "code": _code_hash(),
            "versions": {
                "python": platform.python_version(),
                "torch": torch.__version__,
                "transformers": transformers.__version__,
            },
            "batch_size": self.batch_size,
            "device": self.device,
            "threads": torch.get_num_threads(),
            "seed": None,  # greedy decoding: nothing is drawn
            "git_commit": _git_commit(),
            "environment": {k: os.environ[k] for k in ("FASTV_K", "LMUData") if k in os.environ},
        }


def infer(
    folder: Path,
    task: Task,
    answerer: RecordingAnswerer,
    spec: RunSpec,
    *,
    reuse: bool,
    verbose: bool,
    ranks: Ranks = ALONE,
) -> dict[int, str]:
    """Answer what is missing and write it; returns all predictions, on every rank.

    Without `reuse` an earlier run in `folder` is set aside as `<folder>.previous`. Each rank
    answers its shard of the data; what an earlier run of any number of ranks answered stays.

    Raises:
        UserError: if the run to be continued had another configuration, its predictions do not
            belong to this data, or they were changed after it was complete.
    """
    for sample in task.samples:  # a damaged image is found before anything is written
        sample.image()
    predictions: dict[int, str] = {}

    def prepare() -> None:
        if folder.is_dir() and not (reuse or ranks.restarted):
            _set_aside(folder)
        document = spec.document()
        _demand_same(folder, document, IDENTITY)
        folder.mkdir(parents=True, exist_ok=True)
        before = len(read_all(folder, task.indices, repair=True))
        if before == len(task.indices):
            demand_sealed(folder)
        margins.read_margins(folder, task.indices, repair=True)
        counts = {"samples": len(task.indices), "answered_before": before, "ranks": ranks.size}
        _write_json(folder / "run.json", document | counts)

    def finish() -> None:
        predictions.update(read_all(folder, task.indices, repair=False))
        merge(folder, predictions, task.indices)
        margins.merge(folder, task.indices)
        seal(folder)

    with _resumable(folder):
        ranks.lead(prepare)
        _answer_missing(folder, task, answerer, spec, verbose, ranks)
        ranks.lead(finish)
    return predictions or read_all(folder, task.indices, repair=False)


def saved_predictions(folder: Path, task: Task, spec: RunSpec) -> dict[int, str]:
    """The predictions of a run that is complete, for scoring without a model.

    Raises:
        UserError: there is no such run, it answers other data or is of another configuration,
            or answers are missing or were changed.
    """
    if not (folder / "run.json").is_file():
        raise UserError(f"{folder} holds no run to score: run without --mode eval first")
    before = read_document(folder / "run.json").get("data")
    loaded = before if isinstance(before, Mapping) else {}
    document = spec.document()
    document["data"] |= {key: loaded[key] for key in ("weights", "processor") if key in loaded}
    _demand_same(folder, document, SCORED_IDENTITY)
    predictions = read_all(folder, task.indices, repair=False)
    if len(predictions) < len(task.indices):
        raise UserError(
            f"{folder} has {len(predictions)} of {len(task.indices)} answers: "
            "finish it with --mode infer --reuse"
        )
    demand_sealed(folder)
    return predictions


def write_score(folder: Path, task: Task, model: str, predictions: Mapping[int, str]) -> Score:
    """Score the predictions, and write that and VLMEvalKit's own files."""
    with _resumable(folder):
        score = task.score(predictions)
        task.write_official(folder, f"{model}_{task.name}", predictions, score)
        _write_json(folder / "scores.json", score.to_json())
    return score


@contextlib.contextmanager
def _resumable(folder: Path) -> Iterator[None]:
    """Says how to go on if the user or the disk ends the run here: `bench.cli.main` prints it."""
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"{folder} keeps its answers, continue with --reuse") from None
    except OSError as error:
        raise UserError(
            f"cannot write {error.filename or folder}: {error.strerror}; "
            "what was written stays, continue with --reuse"
        ) from error


def _answer_missing(
    folder: Path,
    task: Task,
    answerer: RecordingAnswerer,
    spec: RunSpec,
    verbose: bool,
    ranks: Ranks,
) -> None:
    """Answer what is in this rank's shard and in none of the run's files yet."""
    done = read_all(folder, task.indices, repair=False)
    shard = [s for position, s in enumerate(task.samples) if ranks.answers(position)]
    missing = by_length([s for s in shard if s.index not in done], task, answerer)
    own = "" if ranks.size == 1 else f".rank-{ranks.rank}"
    shown = f"{spec.model} on {task.name}"
    with (
        appending(folder / f"predictions{own}.jsonl") as file,
        appending(folder / f"margins{own}.jsonl") as margin_file,
        progress(shown, len(shard), MofNCompleteColumn(), _Rate(), quiet=ranks.rank > 0) as bar,
    ):
        bar.skip(len(shard) - len(missing))
        for batch, encoded in _encoded(missing, answerer, spec.batch_size):
            answers = answerer.answer_recorded(encoded, spec.max_new_tokens)
            if task.kind == "mmbench":  # a caption has no letter that could flip
                for sample, (_, tops) in zip(batch, answers, strict=True):
                    margin_file.write(margins.line(sample.index, tops))
                margin_file.flush()
            for sample, (answer, _) in zip(batch, answers, strict=True):
                file.write(line(sample.index, answer))
                if verbose:
                    bar.say(f"{sample.index}: {answer}")
            file.flush()
            bar.advance(len(batch))


def _encoded(
    samples: Sequence[Sample], answerer: Answerer, batch_size: int
) -> Iterator[tuple[Sequence[Sample], dict[str, Any]]]:
    """Batches, each decoded and encoded by a second thread while the model answers the last."""

    def encode(batch: Sequence[Sample]) -> dict[str, Any]:
        return answerer.encode([s.prompt for s in batch], [s.image() for s in batch])

    batches = [samples[i : i + batch_size] for i in range(0, len(samples), batch_size)]
    with ThreadPoolExecutor(max_workers=1) as thread:
        coming = [thread.submit(encode, batch) for batch in batches[:1]]
        for position, batch in enumerate(batches):
            encoded = coming.pop().result()
            coming = [thread.submit(encode, later) for later in batches[position + 1 :][:1]]
            yield batch, encoded


def by_length(samples: Sequence[Sample], task: Task, answerer: Answerer) -> list[Sample]:
    """Longest prompt first, so that a batch needs little padding and memory runs out at once.

    Rows of one question follow each other: they share an image, which is then decoded once.
    """
    if not samples:
        return []
    ids = answerer.processor.tokenizer([s.prompt for s in samples])["input_ids"]
    lengths = {s.index: len(row) for s, row in zip(samples, ids, strict=True)}
    return sorted(samples, key=lambda s: (-lengths[s.index], task.group_key(s.index), s.index))


class _Rate(ProgressColumn):
    """Samples per second, over the last half minute."""

    def render(self, task: ProgressTask) -> Text:
        return Text(f"{task.speed:.1f}/s" if task.speed else "-/s")


def _write_json(path: Path, document: Mapping[str, Any]) -> None:
    write_atomically(path, (json.dumps(document, indent=2) + "\n").encode())


def _demand_same(folder: Path, document: Mapping[str, Any], keys: Sequence[str]) -> None:
    """Raises `UserError` unless the run in `folder`, if there is one, agrees in these keys."""
    path = folder / "run.json"
    if not path.is_file():
        if (folder / FILE).is_file():
            raise UserError(
                f"{folder} holds {FILE} but no run.json, so what it answers is unknown: "
                "choose another --work-dir, or run without --reuse"
            )
        return
    before = read_document(path)
    for key in keys:
        difference = _difference(key, before.get(key), document[key])
        if difference is not None:
            raise UserError(
                f"{folder} holds a run with another {difference}: "
                "choose another --work-dir, or run without --reuse"
            )


def read_document(path: Path) -> dict[str, Any]:
    """A run.json; raises `UserError` if it is none."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is damaged: run again without --reuse") from error
    if not isinstance(document, dict):
        raise UserError(f"{path} is damaged: run again without --reuse")
    return document


def _difference(key: str, before: Any, now: Any) -> str | None:
    """The first value in which two documents differ, as `key (was, now is)`; None if in none."""
    if before == now:
        return None
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        names = [name for name in (*now, *before) if before.get(name) != now.get(name)]
        return _difference(f"{key}.{names[0]}", before.get(names[0]), now.get(names[0]))
    return f"{key} ({before}, now {now})"


def _set_aside(folder: Path) -> None:
    """Keep one earlier run, so that a forgotten --reuse does not cost it."""
    previous = folder.with_name(folder.name + ".previous")
    if previous.is_dir():
        shutil.rmtree(previous)
    folder.rename(previous)


def _code_hash() -> str:
    """sha256 over the source of `hybrid`: other code may give other answers."""
    digest = hashlib.sha256()
    for file in sorted(Path(hybrid.__file__).parent.glob("*.py")):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return f"sha256:{digest.hexdigest()}"


def _git_commit() -> str | None:
    """The checkout's commit, with a mark if it was changed; None outside of a checkout."""
    here = Path(__file__).parent
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40"],
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return described.stdout.strip()
