"""One evaluation run: infer what is missing, flush each answer, resume after any interruption.

A run is a folder: `run.json` (what exactly ran), `predictions.jsonl` (one line a sample, see
`predictions`), `margins.jsonl` (how near those answers were, see `margins`), `forced.jsonl` (what a
schedule forced, see `forced`), `scores.json`, and VLMEvalKit's own files beside them.
"""

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.progress import MofNCompleteColumn, ProgressColumn
from rich.progress import Task as ProgressTask
from rich.text import Text

from bench.arms.vocabulary import unknown_in
from bench.base.atomic import write_atomically
from bench.base.errors import UserError
from bench.base.progress import progress
from bench.evaluation.runs import forced, margins
from bench.evaluation.runs.answers import answers
from bench.evaluation.runs.folder import set_aside
from bench.evaluation.runs.identity import (
    IDENTITY,
    RUN_FILE,
    SCORED_IDENTITY,
    RunSpec,
    demand_same,
    read_document,
)
from bench.evaluation.runs.lock import locked
from bench.evaluation.runs.meeting import demand_one_run
from bench.evaluation.runs.predictions import appending, demand_sealed, line, merge, read_all, seal
from bench.evaluation.runs.ranks import ALONE, Ranks
from bench.evaluation.runs.recording import RecordingAnswerer
from bench.tasks import Score, Task


def infer(
    folder: Path,
    task: Task,
    answerer: RecordingAnswerer,
    spec: RunSpec,
    *,
    reuse: bool,
    verbose: bool,
    held: ExitStack,
    ranks: Ranks = ALONE,
) -> dict[int, str]:
    """Answer what is missing and write it; returns all predictions, on every rank.

    Without `reuse` an earlier run in `folder` is set aside, see `folder.set_aside`.
    Each rank answers its shard of the data; what an earlier run of any number of ranks answered
    stays. `held` keeps the folder locked, from before anything in it is touched, until its owner
    has done with what was answered.

    Raises:
        UserError: if another process has the folder, the run to be continued had another
            configuration, its predictions do not belong to this data, or they were changed after
            it was complete.
    """
    answerer.sizes.demand([task])  # damaged images, too, are found before anything is written
    predictions: dict[int, str] = {}
    prompts = [sample.prompt for sample in task.samples]

    def prepare() -> None:
        held.enter_context(locked(folder))
        earlier = folder.is_dir() and any(folder.iterdir())
        if earlier and not (reuse or ranks.restarted):
            print(f"note: the earlier run is kept in {set_aside(folder)}", flush=True)
        document = spec.document()
        demand_same(folder, document, IDENTITY)
        demand_sealed(folder)
        folder.mkdir(parents=True, exist_ok=True)
        before = len(read_all(folder, task.indices, repair=True))
        margins.read_margins(folder, task.indices, repair=True)
        forced.read_forced(folder, task.indices, repair=True)
        document |= {"samples": len(task.indices), "answered_before": before, "ranks": ranks.size}
        document["unknown_words"] = unknown_in(answerer.processor.tokenizer, prompts)
        _write_json(folder / RUN_FILE, document | {"started": time.time()})

    def finish() -> None:
        predictions.update(read_all(folder, task.indices, repair=False))
        _demand_whole(folder, predictions, answered, task)
        merge(folder, predictions, task.indices)
        margins.merge(folder, task.indices)
        forced.merge(folder, task.indices)
        seal(folder)

    with _resumable(folder):
        demand_one_run(spec, ranks)  # with its weights
        ranks.lead(prepare)
        answered = _answer_missing(folder, task, answerer, spec, verbose, ranks)
        ranks.lead(finish)
    return predictions or read_all(folder, task.indices, repair=False)


def _demand_whole(
    folder: Path, found: Mapping[int, str], answered: Mapping[int, str], task: Task
) -> None:
    """Raises `UserError` unless what lies in the folder is all of the run, and what it answered:
    a folder that was moved or emptied meanwhile is another's, or nobody's."""
    lost = [i for i in task.indices if i not in found or answered.get(i, found[i]) != found[i]]
    if lost:
        raise UserError(
            f"{folder} lacks {len(lost)} of {len(task.indices)} answers, the first to sample"
            f" {lost[0]}: it was moved or changed while the run went on, whose answers lie where it"
            " was moved to; run again with --reuse"
        )


def saved_predictions(folder: Path, task: Task, spec: RunSpec) -> dict[int, str]:
    """The predictions of a run that is complete, for scoring without a model.

    Raises:
        UserError: there is no such run, it answers other data or is of another configuration,
            or answers are missing or were changed.
    """
    if not (folder / RUN_FILE).is_file():
        raise UserError(f"{folder} holds no run to score: run without --mode eval first")
    before = read_document(folder / RUN_FILE).get("data")
    loaded = before if isinstance(before, Mapping) else {}
    document = spec.document()
    document["data"] |= {key: loaded[key] for key in ("weights", "processor") if key in loaded}
    demand_same(folder, document, SCORED_IDENTITY)
    demand_sealed(folder)
    predictions = read_all(folder, task.indices, repair=False)
    if len(predictions) < len(task.indices):
        raise UserError(
            f"{folder} has {len(predictions)} of {len(task.indices)} answers: "
            "finish it with --mode infer --reuse"
        )
    return predictions


def write_score(folder: Path, task: Task, model: str, predictions: Mapping[int, str]) -> Score:
    """Score the predictions, and write that, then VLMEvalKit's own files, as far as they can."""
    with _resumable(folder):
        score = task.score(predictions)
        _write_json(folder / "scores.json", score.to_json())
        task.write_official(folder, f"{model}_{task.name}", predictions, score)
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
) -> dict[int, str]:
    """Answer what is in this rank's shard and in none of the run's files yet; returns that."""
    answered: dict[int, str] = {}
    done = read_all(folder, task.indices, repair=False)
    shard = [s for position, s in enumerate(task.samples) if ranks.answers(position)]
    missing = [s for s in shard if s.index not in done]
    own = "" if ranks.size == 1 else f".rank-{ranks.rank}"
    shown = f"{spec.model} on {task.name}"
    lengths = {"batch_size": spec.batch_size, "max_new_tokens": spec.max_new_tokens}
    with (
        appending(folder / f"predictions{own}.jsonl") as file,
        appending(folder / f"margins{own}.jsonl") as margin_file,
        appending(folder / f"forced{own}.jsonl") as forced_file,
        progress(shown, len(shard), MofNCompleteColumn(), _Rate(), quiet=ranks.rank > 0) as bar,
    ):
        bar.skip(len(shard) - len(missing))
        for batch in answers(missing, task, answerer, **lengths):
            if task.kind == "mmbench":  # a caption has no letter that could flip
                for answer in batch:
                    margin_file.write(margins.line(answer.sample.index, answer.tops))
                margin_file.flush()
            for answer in batch:
                if answer.forced is not None:
                    forced_file.write(forced.line(answer.sample.index, answer.forced))
            forced_file.flush()
            for answer in batch:
                file.write(line(answer.sample.index, answer.text))
                answered[answer.sample.index] = answer.text
                if verbose:
                    bar.say(f"{answer.sample.index}: {answer.text}")
            file.flush()
            bar.advance(len(batch))
    return answered


class _Rate(ProgressColumn):
    """Samples per second, over the last half minute."""

    def render(self, task: ProgressTask) -> Text:
        return Text(f"{task.speed:.1f}/s" if task.speed else "-/s")


def _write_json(path: Path, document: Mapping[str, Any]) -> None:
    write_atomically(path, (json.dumps(document, indent=2) + "\n").encode())
