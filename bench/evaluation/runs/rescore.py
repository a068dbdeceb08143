"""The answers of a run's folder, and the task that its run.json says it was asked."""

from pathlib import Path

from bench.base.errors import UserError
from bench.evaluation.runs.identity import RUN_FILE, read_document
from bench.evaluation.runs.predictions import FILE, demand_sealed
from bench.tasks import DEFAULT_MATCHER, DEFAULT_TOKENISER, Task, load_task
from bench.tasks.prompts import DEFAULT_CHAT
from bench.tasks.rescore import read_jsonl


def read_answers(
    path: Path,
    *,
    matcher: str = DEFAULT_MATCHER,
    tokeniser: str = DEFAULT_TOKENISER,
    with_spice: bool = False,
    mend: str = "say by --data where they lie",
) -> tuple[Task, dict[int, str]]:
    """The answers in `predictions.jsonl`, beside the run.json of its run, and their task.

    mend: what to do if the data are not where run.json says.

    Raises:
        UserError: the run is not finished or was changed, or its data are not found any more, or
            are others.
    """
    told = path.parent / RUN_FILE
    document = read_document(told)
    asked, data = document.get("asked", {}), document.get("data")
    source, prompt = asked.get("data"), asked.get("prompt")
    chat = asked.get("chat", DEFAULT_CHAT)
    if data is None or source is None or prompt is None:
        raise UserError(f"{told} does not say where its data lie: {mend}")
    if path.name == FILE:
        demand_sealed(path.parent)
    predictions = read_jsonl(path)
    if len(predictions) != document.get("samples"):
        raise UserError(
            f"{path} has {len(predictions)} of {document.get('samples')} answers: finish the run"
            " with --reuse"
        )

    def load(groups: tuple[int, ...] | None) -> Task:
        return load_task(
            source,
            prompt=prompt,
            matcher=matcher,
            tokeniser=tokeniser,
            with_spice=with_spice,
            subset=groups,
            chat=chat,
        )

    task = load(None)
    if len(task.indices) != len(predictions):  # the run was on some of them
        known = set(task.indices)
        task = load(tuple({task.group_key(index): None for index in predictions if index in known}))
    if task.data_hash != data.get("hash"):
        raise UserError(f"{source} does not hold the data that {path.parent} answers: {mend}")
    return task, predictions
