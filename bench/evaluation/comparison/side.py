"""One side of a comparison: a run's folder, a VLMEvalKit `.xlsx`, or a reference's name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from bench.base.errors import UserError
from bench.base.reading import Unreadable
from bench.cost.spending import Budget, budget_in
from bench.evaluation.references.captions import CaptionReference
from bench.evaluation.references.files import reference_names
from bench.evaluation.references.letters import answers_sha256
from bench.evaluation.references.store import read_reference
from bench.evaluation.runs import margins
from bench.evaluation.runs.folder import sheet_in
from bench.evaluation.runs.identity import checked_document
from bench.evaluation.runs.margins import Tops
from bench.evaluation.runs.predictions import FILE, demand_sealed, read_predictions
from bench.evaluation.runs.rescore import read_answers
from bench.evaluation.runs.scores import read_scores
from bench.tasks import DEFAULT_MATCHER
from bench.tasks.captions.coco import CocoCaptions
from bench.tasks.captions.lists import parse_references
from bench.tasks.load import KNOWN, kind_of
from bench.tasks.matchers import get_matcher
from bench.tasks.mmbench import LEVELS, MMBench, Question, read_questions
from bench.tasks.tables.table import Table, parse_index, shown
from bench.tasks.tables.xlsx import read_xlsx
from bench.tasks.task import NOT_RECORDED, Kind, Task, check_predictions


@dataclass(frozen=True, kw_only=True)
class Side:
    """A scored run.

    Attributes:
        name: of the model, for people.
        source: the path or name that the user gave.
        folder: where the run's files are; None for a reference.
        data: the data set's name.
        recipe: prompt, and matcher or tokeniser.
        score: gives `values`, once it is known that the runs compare: CIDEr takes seconds.
        answers: row -> text; empty for a reference of letters, which keeps none.
        letters: row -> letter read, None where nothing was read; empty for captions.
        row_hits: row -> whether its letter was right; empty for captions.
        questions: row -> its question; empty for a reference and for captions.
        truth: image -> its captions, as text; empty for multiple choice and a reference.
        truth_digests: image -> a digest of that, kept by a reference; otherwise empty.
        categories: level -> question -> category.
        answers_sha256: identity of the right letters; empty for captions.
        tops: row -> its first tokens' logits; empty if margins were not recorded.
        document: the run's run.json, empty if there is none.
        budget: that it spends on a prompt; None if that was not recorded.
    """

    name: str
    source: str
    folder: Path | None
    kind: Kind
    data: str
    recipe: Mapping[str, str]
    score: Callable[[], Mapping[int, float]]
    answers: Mapping[int, str] = field(default_factory=dict)
    letters: Mapping[int, str | None] = field(default_factory=dict)
    row_hits: Mapping[int, bool] = field(default_factory=dict)
    questions: Mapping[int, Question] = field(default_factory=dict)
    truth: Mapping[int, list[str]] = field(default_factory=dict)
    truth_digests: Mapping[int, str] = field(default_factory=dict)
    categories: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    answers_sha256: str = ""
    tops: Mapping[int, Tops] = field(default_factory=dict)
    document: Mapping[str, Any] = field(default_factory=dict)
    budget: Budget | None = None

    @property
    def is_reference(self) -> bool:
        """Whether it is what was kept of a run, and not the run."""
        return self.folder is None

    @cached_property
    def values(self) -> Mapping[int, float]:
        """By question 1.0 or 0.0 (right in every rotation), or by image its CIDEr."""
        return self.score()

    @cached_property
    def hits(self) -> Mapping[int, bool]:
        """By question whether it was right in every rotation; of multiple choice only."""
        return {question: value == 1.0 for question, value in self.values.items()}


def load_side(source: str, *, matcher: str | None = None, references: Path | None = None) -> Side:
    """Read and score one side.

    Args:
        matcher: read the answers anew with this one; None means the run's own.
        references: the user's folder of references.

    Raises:
        UserError: there is nothing by that name, the run is unfinished, or a file is damaged.
    """
    path = Path(source)
    if path.is_dir():
        return _from_folder(path, source, matcher)
    if path.suffix == ".xlsx":
        table, name = read_xlsx(path), path.stem.removesuffix(f"_{_data_of(path)}")
        return _from_table(table, name, source, path.parent, matcher, {}, {})
    known = reference_names(references)
    if source in known:
        return _from_reference(source, matcher, references)
    raise UserError(
        f"{source} is no run folder, .xlsx file or reference; references are {', '.join(known)}"
    )


def run_side(folder: Path, task: Task, matcher: str | None = None) -> Side:
    """A finished run on `task`, by its predictions: a sheet can't hold every text.

    A run of other data, or one of which only the sheet was kept, is what `load_side` says of it.
    matcher: as there.

    Raises:
        UserError: as `load_side`.
    """
    document = _document(folder / "run.json", checked_document)
    same = document.get("data", {}).get("hash") == task.data_hash
    if not (same and (folder / FILE).is_file()):
        return load_side(str(folder), matcher=matcher)
    scores = _document(folder / "scores.json", read_scores)
    demand_sealed(folder)
    predictions = read_predictions(folder / FILE, task.indices, repair=False)
    check_predictions(str(folder / FILE), task.indices, predictions)
    table = task.table
    rows = {i: {**row, "prediction": predictions[i]} for i, row in table.rows.items()}
    columns = tuple(dict.fromkeys((*table.columns, "prediction")))
    name = str(document.get("model", folder.name))
    answered = Table(table.source, columns, rows)
    return _from_table(answered, name, str(folder), folder, matcher, document, scores)


def _from_folder(folder: Path, source: str, matcher: str | None) -> Side:
    document = _document(folder / "run.json", checked_document)
    scores = _document(folder / "scores.json", read_scores)
    sheet = sheet_in(folder)
    if sheet is None:
        return _from_answers(folder, matcher)
    name, table = str(document.get("model", folder.name)), read_xlsx(sheet)
    _demand_unedited(folder, table)
    return _from_table(table, name, source, folder, matcher, document, scores)


def _from_answers(folder: Path, matcher: str | None) -> Side:
    """A scored run whose answers or questions did not fit in a sheet."""
    try:
        task, _ = read_answers(folder / FILE, mend="put them back, or run again without --reuse")
    except UserError as error:
        raise UserError(
            f"{folder} has no .xlsx, as when a cell is longer than one holds, so its data are"
            f" needed: {error}"
        ) from error
    return run_side(folder, task, matcher)


def _demand_unedited(folder: Path, table: Table) -> None:
    """Raises UserError unless sheet, predictions and their seal agree, as far as they are there."""
    demand_sealed(folder)
    if (folder / FILE).is_file() and "prediction" in table.columns:
        written = read_predictions(folder / FILE, table.rows, repair=False)
        for index, row in table.rows.items():
            if written.get(index) != row.get("prediction", ""):
                raise UserError(
                    f"{table.source} and {FILE} differ in the answer to {index}: write the sheet"
                    " anew by --mode eval, or run again without --reuse"
                )


def _document(path: Path, read: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    """A JSON file of the run."""
    try:
        return read(path)
    except Unreadable as error:
        if error.missing:
            raise UserError(
                f"{path} is missing: finish the run with --reuse, or give its .xlsx"
            ) from error
        raise UserError(
            f"{path} is damaged: finish the run with --reuse (it {error.reason})"
        ) from error


def _values(scores: Mapping[str, Any], source: Path) -> dict[int, float]:
    """Each image's CIDEr, as scores.json has it."""
    values = {}
    for text, value in scores.get("values", {}).items():
        index = parse_index(text)
        if index is None:
            raise UserError(f"{source} is damaged at {shown(text)}: finish the run with --reuse")
        values[index] = float(value)
    return values


def _data_of(sheet: Path) -> str:
    """The data set that a file is named after, as VLMEvalKit names them: MODEL_DATA.xlsx."""
    known = [name for name in KNOWN if sheet.stem.endswith(f"_{name}")]
    return known[0] if known else sheet.stem


def _from_table(
    table: Table,
    name: str,
    source: str,
    folder: Path,
    matcher: str | None,
    document: Mapping[str, Any],
    scores: Mapping[str, Any],
) -> Side:
    table.require("prediction")
    answers = {index: row.get("prediction", "") for index, row in table.rows.items()}
    recipe = scores.get("recipe", {})
    prompt = recipe.get("prompt", NOT_RECORDED)
    data = document.get("data", {}).get("name", _data_of(Path(table.source)))
    table = table.without("prediction")
    if kind_of(table) == "coco":
        captions = CocoCaptions(name, table, prompt=None)
        values = _values(scores, folder / "scores.json")
        if scores:
            check_predictions(f"{folder / 'scores.json'}", answers, values)
        return Side(
            name=name,
            source=source,
            folder=folder,
            kind="coco",
            data=data,
            recipe=recipe or captions.recipe,
            score=lambda: values or captions.score(answers).values,
            answers=answers,
            truth={index: parse_references(table, index) for index in table.rows},
            document=document,
            budget=budget_in(document),
        )
    used = matcher or recipe.get("matcher", DEFAULT_MATCHER)
    score = MMBench(name, table, prompt=None, matcher=used).score(answers)
    questions = {item.index: item for item in read_questions(table)}
    read = get_matcher(used)
    letters = {index: read(answers[index], item.options) for index, item in questions.items()}
    return Side(
        name=name,
        source=source,
        folder=folder,
        kind="mmbench",
        data=data,
        recipe={**recipe, "prompt": prompt, "matcher": used},
        score=lambda: score.values,
        answers=answers,
        letters=letters,
        row_hits={index: letters[index] == item.answer for index, item in questions.items()},
        questions=questions,
        categories={
            level: {group: table.cell(group, level) for group in score.values}
            for level in LEVELS
            if level in table.columns
        },
        answers_sha256=answers_sha256({i: item.answer for i, item in questions.items()}),
        tops=margins.read_margins(folder, table.rows) if document else {},
        document=document,
        budget=budget_in(document),
    )


def _from_reference(name: str, matcher: str | None, folder: Path | None) -> Side:
    reference = read_reference(name, folder)
    if isinstance(reference, CaptionReference):
        return _from_captions(reference)
    recipe = reference.recipe
    if matcher is not None and matcher != recipe.matcher:
        raise UserError(
            f"reference {name} was read by matcher {recipe.matcher} and keeps no texts to read"
            f" anew: leave --matcher {matcher} out"
        )
    return Side(
        name=recipe.model,
        source=name,
        folder=None,
        kind="mmbench",
        data=recipe.data,
        recipe={"prompt": recipe.prompt, "matcher": recipe.matcher},
        score=lambda: {question: float(hit) for question, hit in reference.hits.items()},
        letters=reference.letters,
        row_hits=reference.row_hits,
        answers_sha256=recipe.answers,
        budget=recipe.budget,
    )


def _from_captions(reference: CaptionReference) -> Side:
    recipe = reference.recipe

    def score() -> Mapping[int, float]:
        raise UserError(
            f"{reference.name} keeps no captions by people to score its own by: compare it with a"
            " run, which has them"
        )

    return Side(
        name=recipe.model,
        source=reference.name,
        folder=None,
        kind="coco",
        data=recipe.data,
        recipe={"prompt": recipe.prompt, "tokeniser": recipe.tokeniser},
        score=score,
        answers=reference.captions,
        truth_digests=reference.truth,
        budget=recipe.budget,
    )
