"""What is kept of a run of multiple choice: the letters that were read, and whether they were
right; no text."""

import hashlib
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field, with_config

from bench.base.shapes import Count
from bench.cost.spending import Budget
from bench.evaluation.references.files import Recipe, index_of, to_csv, write_files
from bench.tasks.mmbench import ROTATION

COLUMNS = ("index", "letter", "hit")
LETTERS = ("", *string.ascii_uppercase)


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True, kw_only=True)
class LetterRecipe(Recipe):
    """answers: `answers_sha256` of the data, which another run of all of it must share."""

    matcher: str
    rows: Count
    rows_right: Count
    questions: Annotated[Count, Field(gt=0)]
    questions_right: Count
    unreadable: Count
    answers: str


@dataclass(frozen=True)
class LetterReference:
    """A run's letters and row hits, by row index."""

    name: str
    recipe: LetterRecipe
    letters: Mapping[int, str | None]
    row_hits: Mapping[int, bool]

    @property
    def hits(self) -> dict[int, bool]:
        """For each question, whether it was answered rightly in every rotation."""
        return question_hits(self.row_hits)

    @property
    def listed(self) -> tuple[str, str, str]:
        """Metric, score, and how many of how many."""
        right, of = self.recipe.questions_right, self.recipe.questions
        return "circular accuracy", f"{right / of:.4f}", f"{right}/{of}"


def question_hits(row_hits: Mapping[int, bool]) -> dict[int, bool]:
    """Circular hits by question, in the order of the rows."""
    hits: dict[int, bool] = {}
    for index, hit in row_hits.items():
        hits[index % ROTATION] = hit and hits.get(index % ROTATION, True)
    return hits


def answers_sha256(answers: Mapping[int, str]) -> str:
    """Identity of a data set without its texts: the right letter of every row."""
    lines = "".join(f"{index} {answers[index]}\n" for index in sorted(answers))
    return hashlib.sha256(lines.encode()).hexdigest()


def letters_of(name: str, recipe: LetterRecipe, rows: Iterable[dict[str, str]]) -> LetterReference:
    """A reference from what its files hold.

    Raises:
        ValueError, KeyError: a row is none of `COLUMNS`.
    """
    letters: dict[int, str | None] = {}
    hits: dict[int, bool] = {}
    for row in rows:
        index = index_of(row)
        if row["hit"] not in ("0", "1"):
            raise ValueError(f"row {index} is neither a hit, 1, nor none, 0")
        if row["letter"] not in LETTERS:
            raise ValueError(f"row {index} holds neither an option's letter nor nothing")
        letters[index], hits[index] = row["letter"] or None, row["hit"] == "1"
    return LetterReference(name, recipe, letters, hits)


def add_letters(
    name: str,
    folder: Path,
    *,
    letters: Mapping[int, str | None],
    answers: Mapping[int, str],
    source: str,
    model: str,
    data: str,
    matcher: str,
    prompt: str,
    budget: Budget | None = None,
) -> Path:
    """Write a new reference into `folder`; returns the path of its CSV.

    Args:
        letters: row index -> what the matcher read, None where it read nothing.
        answers: row index -> the right letter.

    Raises:
        UserError: the name is taken or is no file name, or the files can't be written.
    """
    row_hits = {index: letters[index] == answers[index] for index in answers}
    hits = question_hits(row_hits)
    rows = ((index, letters[index] or "", int(row_hits[index])) for index in sorted(answers))
    content = to_csv(COLUMNS, rows)
    recipe = LetterRecipe(
        kind="mmbench",
        source=source,
        model=model,
        data=data,
        prompt=prompt,
        matcher=matcher,
        rows=len(row_hits),
        rows_right=sum(row_hits.values()),
        questions=len(hits),
        questions_right=sum(hits.values()),
        unreadable=sum(letters[index] is None for index in answers),
        answers=answers_sha256(answers),
        content=hashlib.sha256(content).hexdigest(),
        budget=budget,
    )
    return write_files(name, folder, recipe, content)
