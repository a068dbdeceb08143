"""Score a file of predictions: VLMEvalKit's `.xlsx` or this project's `.jsonl`."""

from pathlib import Path

from bench.base.errors import UserError
from bench.base.printable import printable
from bench.base.reading import RECORDS, read_bytes
from bench.base.strict_json import parse
from bench.tasks.answers import answer_in
from bench.tasks.captions.coco import CocoCaptions
from bench.tasks.captions.tokenise import DEFAULT_TOKENISER
from bench.tasks.load import kind_of, load_task
from bench.tasks.matchers import DEFAULT_MATCHER
from bench.tasks.mmbench import MMBench
from bench.tasks.tables.table import shown
from bench.tasks.tables.xlsx import read_xlsx
from bench.tasks.task import Score, Task, check_predictions


def score_file(
    path: Path,
    *,
    data: str | Path | None = None,
    matcher: str = DEFAULT_MATCHER,
    prompt: str | None = None,
    tokeniser: str = DEFAULT_TOKENISER,
    with_spice: bool = False,
) -> Score:
    """Scores the predictions in `path`.

    Args:
        data: name or path of the data they answer, needed for a `.jsonl`. An `.xlsx` carries its
            own questions and answers and is scored by them; with `data`, its rows must be exactly
            the data's.
        prompt: what the model was prompted with, if that is known; an `.xlsx` of captions knows.
        tokeniser, with_spice: see `load_task`.

    Raises:
        UserError: the file is damaged, has an index twice, or not exactly the data's indices.
    """
    task, predictions = read_predictions(
        path,
        data=data,
        matcher=matcher,
        prompt=prompt,
        tokeniser=tokeniser,
        with_spice=with_spice,
    )
    return task.score(predictions)


def read_predictions(
    path: Path,
    *,
    data: str | Path | None = None,
    matcher: str = DEFAULT_MATCHER,
    prompt: str | None = None,
    tokeniser: str = DEFAULT_TOKENISER,
    with_spice: bool = False,
) -> tuple[Task, dict[int, str]]:
    """The predictions in `path` and the task they answer; see `score_file`."""
    if path.suffix not in (".xlsx", ".jsonl"):
        raise UserError(f"{path}: give a .xlsx or .jsonl file of predictions")
    truth = None
    if data is not None:
        truth = load_task(
            data, matcher=matcher, prompt=prompt, tokeniser=tokeniser, with_spice=with_spice
        )
    if path.suffix == ".jsonl":
        if truth is None:
            raise UserError(f"{path}: holds only predictions; say which data they answer (--data)")
        return truth, read_jsonl(path)
    table = read_xlsx(path)
    table.require("prediction")
    predictions = {index: row.get("prediction", "") for index, row in table.rows.items()}
    if truth is not None:
        check_predictions(str(path), truth.indices, predictions)
    table = table.without("prediction")
    task: Task
    if kind_of(table) == "mmbench":
        task = MMBench(path.stem, table, prompt=prompt, matcher=matcher)
    else:
        task = CocoCaptions(
            path.stem, table, prompt=prompt, tokeniser=tokeniser, with_spice=with_spice
        )
    return task, predictions


def read_jsonl(path: Path) -> dict[int, str]:
    """Predictions from lines `{"index": 241, "prediction": "B", ...}`.

    Raises:
        UserError: unreadable file or line, or an index that is there twice.
    """
    lines = read_bytes(path, most=RECORDS).split(b"\n")
    predictions: dict[int, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = parse(line)
        except ValueError as err:
            raise UserError(
                f"{path}: line {number}: not JSON ({printable(str(err))}),"
                f" {shown(line.decode(errors='replace'))}; if the run was killed,"
                " continue it with --reuse"
            ) from err
        index, prediction = answer_in(record)
        if index is None or prediction is None:
            raise UserError(
                f"{path}: line {number}: needs a whole number index and a text prediction, has"
                f" {shown(record)}"
            )
        if index in predictions:
            raise UserError(f"{path}: line {number}: index {index} is there twice")
        predictions[index] = prediction
    if not predictions:
        raise UserError(f"{path}: holds no predictions")
    return predictions
