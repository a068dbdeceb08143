"""One evaluation run: infer what is missing, flush each answer, resume after any interruption.

A run is a folder: `run.json` (what exactly ran), `predictions.jsonl` (one line a sample, in the
order of the data), `scores.json`, and VLMEvalKit's own files beside them.
"""

import contextlib
import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import (
    Task as ProgressTask,
)
from rich.text import Text

import hybrid
from bench.errors import UserError
from bench.models import Answerer
from bench.tasks import Score, Task
from bench.tasks.atomic import write_atomically

# What a resumed run must share with the one that it continues.
IDENTITY = ("model", "config", "data", "max_new_tokens", "dtype", "code", "versions")


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


def run(
    folder: Path, task: Task, answerer: Answerer, spec: RunSpec, *, reuse: bool, verbose: bool
) -> Score:
    """Infer, score and write everything; returns the score.

    Without `reuse` an earlier run in `folder` is set aside as `<folder>.previous`.

    Raises:
        UserError: if the run to be continued had another configuration, or its predictions do
            not belong to this data.
    """
    document = spec.document()
    for sample in task.samples:  # a damaged image is found before anything is written
        sample.image()
    if folder.is_dir() and not reuse:
        _set_aside(folder)
    if (folder / "run.json").is_file():
        _demand_same(folder / "run.json", document)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_json(folder / "run.json", document)
        predictions = _infer(folder / "predictions.jsonl", task, answerer, spec, verbose)
        score = task.score(predictions)
        task.write_official(folder, f"{spec.model}_{task.name}", predictions, score)
        _write_json(folder / "scores.json", score.to_json())
    except KeyboardInterrupt:
        print(f"interrupted: {folder} keeps its answers, continue with --reuse", file=sys.stderr)
        raise
    except OSError as error:
        raise UserError(
            f"cannot write {error.filename or folder}: {error.strerror}; "
            "what was written stays, continue with --reuse"
        ) from error
    return score


def read_predictions(path: Path, known: frozenset[int]) -> dict[int, str]:
    """The predictions that were completely written; a torn last line is cut off the file.

    Raises:
        UserError: for a damaged line before the last one, and unknown or repeated indices.
    """
    if not path.is_file():
        return {}
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        with path.open("r+b") as file:
            file.truncate(len(whole))
    predictions: dict[int, str] = {}
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            row = json.loads(line)
            index, answer = int(row["index"]), str(row["prediction"])
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{path}: line {number} is damaged; delete that line and run again with --reuse"
            ) from error
        if index not in known:
            raise UserError(
                f"{path}: line {number} answers sample {index}, which is not in the data"
            )
        if index in predictions:
            raise UserError(f"{path}: line {number} answers sample {index} a second time")
        predictions[index] = answer
    return predictions


def _infer(
    path: Path, task: Task, answerer: Answerer, spec: RunSpec, verbose: bool
) -> dict[int, str]:
    """Answer every sample that `path` does not hold yet."""
    predictions = read_predictions(path, frozenset(s.index for s in task.samples))
    missing = [s for s in task.samples if s.index not in predictions]
    with path.open("a", encoding="utf-8") as file, _progress(spec, task) as advance:
        advance(len(predictions))
        for start in range(0, len(missing), spec.batch_size):
            batch = missing[start : start + spec.batch_size]
            answers = answerer.answer(
                [s.prompt for s in batch], [s.image() for s in batch], spec.max_new_tokens
            )
            for sample, answer in zip(batch, answers, strict=True):
                predictions[sample.index] = answer
                file.write(json.dumps({"index": sample.index, "prediction": answer}) + "\n")
                if verbose:
                    Console(stderr=True).print(f"{sample.index}: {answer}", markup=False)
            file.flush()
            advance(len(batch))
    return predictions


class _Rate(ProgressColumn):
    """Samples per second, over the last half minute."""

    def render(self, task: ProgressTask) -> Text:
        return Text(f"{task.speed:.1f}/s" if task.speed else "-/s")


@contextlib.contextmanager
def _progress(spec: RunSpec, task: Task) -> Iterator[Any]:
    """A bar on a terminal, nothing in a log; yields a function that advances it."""
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
    with bar:
        job = bar.add_task(f"{spec.model} on {task.name}", total=len(task.samples))
        yield lambda count: bar.advance(job, count)


def _write_json(path: Path, document: Mapping[str, Any]) -> None:
    write_atomically(path, (json.dumps(document, indent=2) + "\n").encode())


def _demand_same(path: Path, document: Mapping[str, Any]) -> None:
    try:
        before = json.loads(path.read_text())
    except ValueError as error:
        raise UserError(f"{path} is damaged: run again without --reuse") from error
    for key in IDENTITY:
        if before.get(key) != document[key]:
            raise UserError(
                f"{path.parent} holds a run with another {key} "
                f"({before.get(key)}, now {document[key]}): "
                "choose another --work-dir, or run without --reuse"
            )


def _set_aside(folder: Path) -> None:
    """Keep one earlier run, so that a forgotten --reuse does not cost it."""
    previous = folder.with_name(folder.name + ".previous")
    if previous.is_dir():
        for file in previous.iterdir():
            file.unlink()
        previous.rmdir()
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
