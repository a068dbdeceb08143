"""MMBench: multiple choice in circular rotations, scored by exact matching.

Row k of question g has index g + k * 1_000_000 and the options rotated k places to the right.
A question counts as right only if every one of its rows is. Scores follow VLMEvalKit without a
judge: what its matcher can't read is wrong.
"""

import csv
import io
import string
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.base.atomic import write_atomically
from bench.tasks.matchers import DEFAULT_MATCHER, get_matcher
from bench.tasks.prompts import DEFAULT_CHAT, chat_of, get_prompt, recorded_as
from bench.tasks.rows import Rows
from bench.tasks.tables.export import export
from bench.tasks.tables.spreadsheets import guarded
from bench.tasks.tables.table import Table, shown
from bench.tasks.task import (
    NOT_RECORDED,
    Metric,
    Score,
    check_predictions,
    mean_metric,
)

ROTATION = 1_000_000
LEVELS = ("l2-category", "category")
# What is read to ask and to score a question; other columns are carried along.
ASKED = frozenset(("question", "hint", "answer", "split", *LEVELS, *string.ascii_uppercase))
ABBREVIATIONS = {
    "attribute_reasoning": "AR",
    "coarse_perception": "CP",
    "finegrained_perception (cross-instance)": "FP-C",
    "finegrained_perception (instance-level)": "FP-S",
    "logic_reasoning": "LR",
    "relation_reasoning": "RR",
}


@dataclass(frozen=True)
class Question:
    """One row: a question with its options in one rotation."""

    index: int
    question: str
    hint: str | None
    options: Mapping[str, str]
    answer: str

    @property
    def group(self) -> int:
        return self.index % ROTATION

    @property
    def rotation(self) -> int:
        return self.index // ROTATION


class MMBench(Rows):
    """A `Task` over a table in VLMEvalKit's MMBench columns.

    Args:
        name: of the data, as it goes into file names.
        table: `index question A B .. answer` and, where there are, `hint category l2-category
            split`; `image` only if `samples` are wanted.
        prompt: a name among the chat's; None if predictions exist already and nobody knows what
            they were prompted with.
        chat: a name in `CHATS`, of the model that is asked.

    Raises:
        UserError: a column or cell is missing, an answer is no option of its row, or the rows of
            a question are not rotations of one another.
    """

    kind: Literal["mmbench"] = "mmbench"

    def __init__(
        self,
        name: str,
        table: Table,
        *,
        prompt: str | None = "vlmevalkit",
        matcher: str = DEFAULT_MATCHER,
        chat: str = DEFAULT_CHAT,
    ) -> None:
        self.name = name
        known = chat_of(chat)
        asked = NOT_RECORDED if prompt is None else recorded_as(prompt, chat)
        self.recipe = {"prompt": asked, "matcher": matcher}
        self._matcher = get_matcher(matcher)
        self._build_prompt = get_prompt(known.multiple_choice, prompt) if prompt else None
        super().__init__(table, known.image)
        self._questions = read_questions(table)

    def _prompts(self) -> Iterator[tuple[int, str]]:
        if self._build_prompt is None:
            raise ValueError(f"{self.name}: made for scoring, without a prompt")
        for item in self._questions:
            yield item.index, self._build_prompt(item.question, item.hint, item.options)

    def group_key(self, index: int) -> int:
        return index % ROTATION

    def score(self, predictions: Mapping[int, str]) -> Score:
        check_predictions(self._table.source, self._table.rows, predictions)
        letters = {
            item.index: self._matcher(predictions[item.index], item.options)
            for item in self._questions
        }
        hits = {item.index: float(letters[item.index] == item.answer) for item in self._questions}
        values: dict[int, float] = {}
        for index, hit in hits.items():
            group = self.group_key(index)
            values[group] = min(hit, values.get(group, 1.0))
        metrics = {
            "circular accuracy": mean_metric(list(values.values())),
            "vanilla accuracy": mean_metric([hits[group] for group in values]),
            "row accuracy": mean_metric(
                list(hits.values()), [self.group_key(index) for index in hits]
            ),
        }
        return Score(
            task=self.name,
            kind=self.kind,
            headline="circular accuracy",
            metrics=metrics,
            categories={
                level: self._by(level, values) for level in LEVELS if level in self._table.columns
            },
            values=values,
            samples=len(hits),
            unreadable=sum(letter is None for letter in letters.values()),
            recipe=self.recipe,
        )

    def _by(self, level: str, values: Mapping[int, float]) -> dict[str, Metric]:
        """Circular accuracy for each category, in the order of their names."""
        members: dict[str, list[float]] = {}
        for group, value in values.items():
            members.setdefault(self._table.cell(group, level), []).append(value)
        return {name: mean_metric(members[name]) for name in sorted(members)}

    def write_official(
        self, folder: Path, stem: str, predictions: Mapping[int, str], score: Score
    ) -> Sequence[Path]:
        """VLMEvalKit's `{stem}_acc.csv` and, where all fits into one, `{stem}.xlsx`."""
        sheet, accuracy = folder / f"{stem}.xlsx", folder / f"{stem}_acc.csv"
        check_predictions(self._table.source, self._table.rows, predictions)
        write_atomically(accuracy, self._accuracy_csv(score).encode())
        written = export(sheet, self.table, predictions, asked=ASKED)
        return (sheet, accuracy) if written else (accuracy,)

    def _accuracy_csv(self, score: Score) -> str:
        """One row a split; where a split lacks a category, an empty cell."""
        splits: dict[str, dict[int, float]] = {}
        for group, value in score.values.items():
            split = self._table.rows[group].get("split", "none")
            splits.setdefault(split, {})[group] = value
        heads = [
            (level, category) for level, table in score.categories.items() for category in table
        ]
        out = io.StringIO()
        writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n")
        names = [ABBREVIATIONS.get(category, category) for _, category in heads]
        writer.writerow(["split", "Overall", *map(guarded, names)])
        for split, values in sorted(splits.items()):
            tables = {level: self._by(level, values) for level in score.categories}
            cells = [
                tables[level][category].value if category in tables[level] else ""
                for level, category in heads
            ]
            writer.writerow([guarded(split), mean_metric(list(values.values())).value, *cells])
        return out.getvalue()


def read_questions(table: Table) -> list[Question]:
    """The rows of `table` as questions, checked; raises `UserError` as `MMBench` says."""
    table.require("question", "A", "B", "answer")
    letters = [letter for letter in string.ascii_uppercase if letter in table.columns]
    questions = []
    for index, row in table.rows.items():
        options = {letter: row[letter] for letter in letters if letter in row}
        answer = table.cell(index, "answer")
        if answer not in options:
            raise table.error(
                f"answer {shown(answer)} is not one of its options {', '.join(options)}", index
            )
        for level in LEVELS:
            if level in table.columns:
                table.cell(index, level)
        for column in (*LEVELS, "split"):
            if "\n" in row.get(column, ""):
                raise table.error(
                    f"its {column} spans lines; a quote before it was never closed", index
                )
        question = table.cell(index, "question")
        questions.append(Question(index, question, row.get("hint"), options, answer))
    check_rotations(table, questions)
    return questions


def check_rotations(table: Table, questions: Sequence[Question]) -> None:
    """Raises `UserError` unless each question's rows are 0, 1, 2.. and ask the same thing.

    The number of rows is not checked against the number of options: real data has four-option
    questions with three rotations, whose last option stays in its place.
    """
    groups: dict[int, dict[int, Question]] = {}
    for item in questions:
        groups.setdefault(item.group, {})[item.rotation] = item
    for group, rows in groups.items():
        for rotation in range(len(rows)):
            if rotation not in rows:
                raise table.error(
                    f"row {group + rotation * ROTATION} of its circular group is missing",
                    max(item.index for item in rows.values()),
                )
        main, seen = rows[0], set()
        for item in rows.values():
            if Counter(item.options.values()) != Counter(main.options.values()):
                raise table.error(f"its options are not those of row {group}, rotated", item.index)
            if item.options[item.answer] != main.options[main.answer]:
                raise table.error(
                    f"answer {item.answer} is {shown(item.options[item.answer])}, but in row"
                    f" {group} the answer is {shown(main.options[main.answer])}",
                    item.index,
                )
            order = (item.answer, *item.options.values())
            if order in seen:
                raise table.error(f"its options stand as in another row of {group}", item.index)
            seen.add(order)
