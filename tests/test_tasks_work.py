"""How much work scoring is, counted in calls: no more than the libraries ask, and linear."""

import json
import random
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from bench.tasks import load_task, matchers, score_file
from bench.tasks.captions.scores import score_captions
from bench.tasks.tables.tsv import read_tsv
from bench.tasks.tables.xlsx import write_xlsx
from tests.task_files import rotations, write_mmbench

WORDS = [
    *("a", "the", "cat", "dog", "bus", "man", "woman", "red", "two", "small", "on", "in", "near"),
    *("of", "with", "sits", "stands", "street"),
]


def captions(count: int) -> tuple[dict[int, list[str]], dict[int, str]]:
    """Five references and one answer for each image, as long as COCO's (about ten words)."""
    draw = random.Random(0)

    def sentence() -> str:
        return " ".join(draw.choices(WORDS, k=10)) + "."

    references = {index: [sentence() for _ in range(5)] for index in range(count)}
    return references, {index: sentence() for index in range(count)}


def calls(work: Callable[[], object]) -> int:
    """How many functions, Python's and C's, `work` calls."""
    count = 0

    def called(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(called)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


def assert_linear(work: Callable[[int], Callable[[], object]]) -> None:
    """Work on twice as much more takes twice as many calls more."""
    work(5)()  # imports
    once, twice, four_times = (calls(work(size)) for size in (100, 200, 400))
    assert four_times - twice <= 2.1 * (twice - once)


def test_the_captions_of_twice_as_many_images_are_twice_the_work() -> None:
    def scoring(size: int) -> Callable[[], object]:
        references, answers = captions(size)
        return lambda: score_captions(references, answers)

    assert_linear(scoring)


def test_each_metric_sees_each_caption_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors come from what the metrics counted anyway, not from scoring again."""
    from pycocoevalcap.bleu.bleu_scorer import BleuScorer
    from pycocoevalcap.cider.cider_scorer import CiderScorer
    from pycocoevalcap.rouge.rouge import Rouge

    seen: Counter[str] = Counter()

    def counted(scorer: type, method: str) -> None:
        plain = getattr(scorer, method)

        def counting(*arguments: Any, **named: Any) -> Any:
            seen[f"{scorer.__name__}.{method}"] += 1
            return plain(*arguments, **named)

        monkeypatch.setattr(scorer, method, counting)

    counted(BleuScorer, "cook_append")
    counted(BleuScorer, "compute_score")
    counted(CiderScorer, "cook_append")
    counted(CiderScorer, "compute_cider")
    counted(Rouge, "calc_score")
    score_captions(*captions(30))
    assert seen == {  # a scorer begins with a caption that is none
        "BleuScorer.cook_append": 1 + 30,
        "BleuScorer.compute_score": 1,
        "CiderScorer.cook_append": 1 + 30,
        "CiderScorer.compute_cider": 1,
        "Rouge.calc_score": 30,
    }


def questions(folder: Path, count: int) -> tuple[Path, dict[int, str]]:
    """A data file of this many questions with four, three and two options, and answers to it."""
    asked = [
        rotations(group, ("bear", "rabbit", "cat", "dog")[: 2 + group % 3], answer=group % 2)
        for group in range(1, count + 1)
    ]
    path = folder / f"{count}.tsv"
    write_mmbench(path, *asked)
    rows = read_tsv(path).rows
    return path, {index: f"The answer is ({'ABCD'[index % 2]})." for index in rows}


def as_sheet(data: Path, answers: dict[int, str]) -> Path:
    write_xlsx(data.with_suffix(".xlsx"), read_tsv(data).without("image"), answers)
    return data.with_suffix(".xlsx")


def test_the_answers_of_twice_as_many_questions_are_twice_the_work(tmp_path: Path) -> None:
    def scoring_a_sheet(size: int) -> Callable[[], object]:
        sheet = as_sheet(*questions(tmp_path, size))
        return lambda: score_file(sheet)

    def scoring_lines(size: int) -> Callable[[], object]:
        data, answers = questions(tmp_path, size)
        lines = data.with_suffix(".jsonl")
        lines.write_text(
            "".join(json.dumps({"index": i, "prediction": a}) + "\n" for i, a in answers.items())
        )
        return lambda: score_file(lines, data=data)

    def scoring_a_run(size: int) -> Callable[[], object]:
        data, answers = questions(tmp_path, size)
        return lambda: load_task(data).score(answers)

    for scoring in (scoring_a_sheet, scoring_lines, scoring_a_run):
        assert_linear(scoring)


def test_each_answer_is_matched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    matched: list[str] = []
    plain = matchers.MATCHERS[matchers.DEFAULT_MATCHER]

    def counting(answer: str, options: Any) -> str | None:
        matched.append(answer)
        return plain(answer, options)

    monkeypatch.setitem(matchers.MATCHERS, matchers.DEFAULT_MATCHER, counting)
    data, answers = questions(tmp_path, 20)
    score_file(as_sheet(data, answers))
    assert len(matched) == len(answers)
