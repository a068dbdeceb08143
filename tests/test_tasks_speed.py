"""How long scoring takes, and that it is no slower than the library it calls."""

import gc
import json
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.tasks import load_task, score_file
from bench.tasks.captions import score_captions
from bench.tasks.tsv import read_tsv
from bench.tasks.xlsx import write_xlsx
from tests.task_files import rotations, write_mmbench

WORDS = [
    *("a", "the", "cat", "dog", "bus", "man", "woman", "red", "two", "small", "on", "in", "near"),
    *("of", "with", "sits", "stands", "street"),
]


def captions(count: int) -> tuple[dict[int, list[str]], dict[int, str]]:
    """Five references and one answer for each image, as long as COCO's (about ten words)."""
    draw = random.Random(0)

    def sentence() -> str:
        return " ".join(draw.choices(WORDS, k=draw.randint(8, 13))) + "."

    references = {index: [sentence() for _ in range(5)] for index in range(count)}
    return references, {index: sentence() for index in range(count)}


def seconds(call: Callable[[], object]) -> float:
    gc.collect()
    start = time.process_time()  # not the wall's: what else runs here is not ours
    call()
    return time.process_time() - start


def test_5000_raw_captions_take_no_longer_than_pycocoevalcap_called_directly() -> None:
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    references, answers = captions(5000)
    listed = {index: [answer] for index, answer in answers.items()}

    def directly() -> None:
        Bleu(4).compute_score(references, listed, verbose=0)
        Rouge().compute_score(references, listed)
        Cider().compute_score(references, listed)

    ours, theirs = seconds(lambda: score_captions(references, answers)), seconds(directly)
    # Our standard errors come on top, a hundredth of the time; the rest is for noise.
    assert ours <= 1.15 * theirs, f"{ours:.2f} s, directly {theirs:.2f} s"


@pytest.fixture(scope="module")
def rows_of_mmbench_dev_en(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """4,329 rows in 1,164 questions, as MMBench_DEV_EN has."""
    sizes = [4] * 926 + [3] * 149 + [2] * 89
    questions = [
        rotations(group, ("bear", "rabbit", "cat", "dog")[:size], answer=group % size)
        for group, size in enumerate(sizes, start=1)
    ]
    path = tmp_path_factory.mktemp("speed") / "mmbench.tsv"
    write_mmbench(path, *questions)
    return path


def test_a_file_of_4329_answers_is_scored_within_two_seconds(
    rows_of_mmbench_dev_en: Path, tmp_path: Path
) -> None:
    table = read_tsv(rows_of_mmbench_dev_en)
    assert len(table.rows) == 4329
    sheet = tmp_path / "predictions.xlsx"
    answers = {index: f"The answer is ({'ABCD'[index % 2]})." for index in table.rows}
    write_xlsx(sheet, table.without("image"), answers)
    assert seconds(lambda: score_file(sheet)) <= 2.0

    lines = tmp_path / "predictions.jsonl"
    lines.write_text(
        "".join(json.dumps({"index": i, "prediction": a}) + "\n" for i, a in answers.items())
    )
    assert seconds(lambda: score_file(lines, data=rows_of_mmbench_dev_en)) <= 2.0
    task = load_task(rows_of_mmbench_dev_en)
    assert task.score(answers).samples == 4329
