"""Small finished runs and references for the tests of `bench compare` and of the gates."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.cost.spending import Budget
from bench.evaluation.references.letters import add_letters
from bench.tasks.load import FIXTURE_DATA
from bench.tasks.mmbench import ROTATION, read_questions
from bench.tasks.tables.table import Table
from bench.tasks.tables.tsv import read_tsv
from bench.tasks.tables.xlsx import write_xlsx

OPTIONS = {"A": "cat", "B": "dog", "C": "cow", "D": "hen"}


def questions_xlsx(
    path: Path,
    answers: Sequence[str],
    *,
    right: str = "A",
    question: str = "Which?",
    first: int = 1,
) -> Path:
    """Questions 1, 2, .. of one rotation each, two categories; the right answer is `right`."""
    rows: dict[int, Mapping[str, str]] = {
        first + i: {
            "question": f"{question} {first + i}",
            **OPTIONS,
            "answer": right,
            "category": "odd" if i % 2 else "even",
        }
        for i in range(len(answers))
    }
    columns = ("question", *OPTIONS, "answer", "category")
    write_xlsx(path, Table(str(path), columns, rows), dict(zip(rows, answers, strict=True)))
    return path


def captions_xlsx(path: Path, captions: Sequence[str], *, question: str = "Describe it.") -> Path:
    """Images 1, 2, .. whose reference captions name different animals."""
    animals = ("cat", "dog", "cow", "hen", "fox", "owl")
    rows: dict[int, Mapping[str, str]] = {
        1 + i: {"answer": str([f"a {animals[i]}", f"one {animals[i]}"]), "question": question}
        for i in range(len(captions))
    }
    table = Table(str(path), ("answer", "question"), rows)
    write_xlsx(path, table, dict(zip(rows, captions, strict=True)))
    return path


def run_folder(
    folder: Path,
    answers: Sequence[str],
    *,
    data: Mapping[str, Any] | None = None,
    recipe: Mapping[str, str] | None = None,
    budget: Budget | None = None,
) -> Path:
    """A finished run of multiple choice, as `bench run` leaves it; without a budget, as it was left
    before they were recorded."""
    folder.mkdir(parents=True)
    questions_xlsx(folder / "model_data.xlsx", answers)
    document: dict[str, Any] = {"model": folder.name, "config": {"implementation": "transformers"}}
    identity = {"name": "data", "hash": "1", "prompts": "2", "images": "as they are"}
    run = {**document, "data": {**identity, **(data or {})}}
    if budget is not None:
        run["budget"] = asdict(budget)
    (folder / "run.json").write_text(json.dumps(run))
    scored = {"recipe": {"prompt": "vlmevalkit", "matcher": "vlmevalkit-2025-04", **(recipe or {})}}
    (folder / "scores.json").write_text(json.dumps(scored))
    return folder


def keep_letters(
    folder: Path, name: str, *, wrong: Collection[int], questions: Collection[int]
) -> None:
    """A reference of the embedded data's `questions`, right in all of them but `wrong`."""
    answers = {
        item.index: item.answer
        for item in read_questions(read_tsv(FIXTURE_DATA / "tiny-mmbench.tsv"))
        if item.index % ROTATION in questions
    }
    add_letters(
        name,
        folder,
        letters={i: None if i % ROTATION in wrong else answers[i] for i in answers},
        answers=answers,
        source="a test",
        model="tiny",
        data="tiny-mmbench",
        matcher="vlmevalkit-2025-04",
        prompt="vlmevalkit",
    )
