"""COCO captions: the exact prompt, known numbers, and files that can't be scored."""

import json
import math
import random
from pathlib import Path

import pytest

from bench.base.errors import UserError
from bench.tasks import load_task
from bench.tasks.captions.lists import parse_references
from bench.tasks.captions.scores import score_captions
from bench.tasks.tables.tsv import read_tsv
from tests.task_files import picture, write_tsv

REFERENCES = {
    0: ["a cat on a mat", "the cat sat"],
    1: ["a dog runs in the park"],
    2: ["two birds fly over water"],
}
CAPTIONS = {0: "a cat on the mat", 1: "a dog in the park", 2: "birds fly over the lake"}


def write_coco(path: Path, references: dict[int, object], **cells: object) -> Path:
    rows = [
        {"index": index, "image": picture("red"), "answer": answer, **cells}
        for index, answer in references.items()
    ]
    return write_tsv(path, rows)


def test_the_prompt_is_vlmevalkits_to_the_space(tmp_path: Path) -> None:
    task = load_task(write_coco(tmp_path / "a.tsv", dict(REFERENCES)))
    assert task.samples[0].prompt == (
        "A chat between a curious human and an artificial intelligence assistant. The assistant"
        " gives helpful, detailed, and polite answers to the human's questions. USER:  <image>"
        " Please describe this image in general. Directly provide the description, do not include"
        ' prefix like "This image depicts".  ASSISTANT: '
    )
    assert task.recipe == {"prompt": "vlmevalkit", "tokeniser": "raw"}


def test_a_question_column_is_asked_instead_and_named_in_the_recipe(tmp_path: Path) -> None:
    task = load_task(write_coco(tmp_path / "a.tsv", dict(REFERENCES), question="Caption it."))
    assert task.samples[1].prompt.endswith(" USER:  <image> Caption it. ASSISTANT: ")
    assert task.recipe["prompt"] == "Caption it."
    with pytest.raises(UserError, match="unknown prompt 'chatml'; choose one of vlmevalkit"):
        load_task(tmp_path / "a.tsv", prompt="chatml")


def test_known_scores_of_three_captions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task = load_task(write_coco(tmp_path / "a.tsv", dict(REFERENCES)))
    score = task.score(CAPTIONS)
    found = {name: metric.value for name, metric in score.metrics.items()}
    assert found == pytest.approx(
        {
            "BLEU-1": 0.810773,
            "BLEU-2": 0.665168,
            "BLEU-3": 0.516729,
            "BLEU-4": 6.8104e-05,
            "ROUGE_L": 0.764809,
            "CIDEr": 3.668927,
        },
        rel=1e-5,
    )
    assert score.value == found["CIDEr"]
    assert sum(score.values.values()) / 3 == pytest.approx(score.value, rel=1e-12)
    spread = sum((value - score.value) ** 2 for value in score.values.values()) / 2
    assert score.standard_error == pytest.approx(math.sqrt(spread / 3))
    assert capsys.readouterr().out == ""


def test_captions_have_no_hits(tmp_path: Path) -> None:
    score = load_task(write_coco(tmp_path / "a.tsv", dict(REFERENCES))).score(CAPTIONS)
    with pytest.raises(ValueError, match="values, not hits"):
        _ = score.hits


def test_strings_are_scored_raw() -> None:
    same, _ = score_captions(REFERENCES, {i: refs[0] for i, refs in REFERENCES.items()})
    capital, _ = score_captions(REFERENCES, {i: refs[0].title() for i, refs in REFERENCES.items()})
    assert same["BLEU-4"].value == pytest.approx(1.0)
    assert capital["CIDEr"].value == 0.0


def test_an_empty_caption_scores_nothing_and_is_counted(tmp_path: Path) -> None:
    task = load_task(write_coco(tmp_path / "a.tsv", dict(REFERENCES)))
    score = task.score(CAPTIONS | {1: " "})
    assert score.values[1] == 0.0 and score.unreadable == 1


def test_the_score_file_is_vlmevalkits_times_100(tmp_path: Path) -> None:
    task = load_task(write_coco(tmp_path / "a.tsv", dict(REFERENCES)))
    score = task.score(CAPTIONS)
    _, path = task.write_official(tmp_path, "m_a", CAPTIONS, score)
    written = json.loads(path.read_text())
    assert list(written) == ["Bleu", "ROUGE_L", "CIDEr"]
    assert written["CIDEr"] == score.value * 100
    assert written["Bleu"][3] == score.metrics["BLEU-4"].value * 100


TWO_BIRDS = ["two birds", "birds \U0001f600"]


@pytest.mark.parametrize(
    "answer",
    [
        "['two birds', 'birds \U0001f600']",
        "['two birds',\n 'birds \U0001f600',]",
        "[u'two birds', u'birds \\U0001f600']",
        '["two birds", "birds \\ud83d\\ude00"]',
        "['two birds', 'birds \\ud83d\\ude00']",
        " [ 'two birds' ,\t\"birds \U0001f600\"] ",
        json.dumps(TWO_BIRDS, indent=1),
    ],
)
def test_captions_may_be_written_as_python_or_json_write_them(tmp_path: Path, answer: str) -> None:
    path = write_coco(tmp_path / "a.tsv", {**REFERENCES, 2: answer})
    assert parse_references(read_tsv(path), 2) == TWO_BIRDS
    written = load_task(write_coco(tmp_path / "b.tsv", {**REFERENCES, 2: TWO_BIRDS}))
    assert load_task(path).score(CAPTIONS).values == written.score(CAPTIONS).values


def test_quotes_commas_and_escapes_in_captions_part_nothing(tmp_path: Path) -> None:
    captions = ["it's", 'a "cat", no', "'one' 'two'", "tab\tline\n\\", "['a' 'b']", "# 1", ""]
    for number, written in enumerate((str(captions), json.dumps(captions))):
        path = write_coco(tmp_path / f"{number}.tsv", {**REFERENCES, 2: written})
        assert parse_references(read_tsv(path), 2) == captions


@pytest.mark.parametrize(
    ("answer", "part"),
    [
        ("['a cat' 'one cat']", "without a comma between them, as NumPy prints arrays"),
        ("['a cat'\n 'one cat']", "without a comma between them"),
        ("['a cat', 'one cat' 'two']", "without a comma between them"),
        ("[\"it's\" 'one cat']", "without a comma between them"),
        ("['a cat''one cat']", "without a comma between them"),
        ('["a \\ud83d cat"]', "stands for no character"),
        ("['a cat', '\\ude00\\ud83d']", "stands for no character"),
        ("['a \\x4']", "stands for no character"),
        ("['', ' ']", "holds only blank captions"),
        ("A", "for multiple choice give each option a column A, B, C"),
    ],
)
def test_a_list_that_would_be_read_otherwise_than_meant_is_refused(
    tmp_path: Path, answer: str, part: str
) -> None:
    path = write_coco(tmp_path / "a.tsv", {**REFERENCES, 5: answer})
    with pytest.raises(UserError, match=r"a\.tsv: row with index 5: answer ") as error:
        load_task(path)
    assert part in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("column", ["options", "Choices"])
def test_options_in_one_column_are_named_and_not_taken_for_captions(
    tmp_path: Path, column: str
) -> None:
    rows = [
        {"index": i, "image": picture("red"), "question": "?", column: "['x', 'y']", "answer": "A"}
        for i in range(2)
    ]
    with pytest.raises(UserError, match=f"has all options in one column {column}; give each"):
        load_task(write_tsv(tmp_path / "a.tsv", rows))


@pytest.mark.parametrize(
    "answer",
    [
        *("", "[]", "a cat", "['a', 3]", "('a', 'b')", "__import__('os').getcwd()", "['a'"),
        *("[" * 900, "[['a'], ['b']]", "['a', None]", "[b'a']", "[f'a']", "{'a', 'b'}"),
        *(
            "{'a': 'b'}",
            "['a'] + ['b']",
            "['a' # b\n]",
            "[r'a']",
            "['one', # 'two']",
            "array(['a'])",
        ),
    ],
)
def test_an_answer_that_is_no_list_of_captions_is_refused(tmp_path: Path, answer: str) -> None:
    path = write_coco(tmp_path / "a.tsv", {**REFERENCES, 5: answer})
    with pytest.raises(UserError, match=r"a\.tsv: row with index 5: .*answer") as error:
        load_task(path)
    assert "\n" not in str(error.value)


def test_one_image_is_refused_because_its_cider_is_always_zero(tmp_path: Path) -> None:
    path = write_coco(tmp_path / "a.tsv", {1: REFERENCES[1]})
    with pytest.raises(UserError, match="one image; CIDEr needs at least two"):
        load_task(path)
    with pytest.raises(UserError, match="one image; CIDEr needs at least two"):
        load_task(write_coco(tmp_path / "b.tsv", dict(REFERENCES)), limit=1)


def test_missing_captions_are_refused(tmp_path: Path) -> None:
    task = load_task(write_coco(tmp_path / "a.tsv", dict(REFERENCES)))
    with pytest.raises(UserError, match="2 of 3 rows have no prediction, the first is index 1"):
        task.score({0: "a cat"})


def test_the_standard_error_of_bleu_agrees_with_the_jackknife() -> None:
    """Leaving each image out once is another way to the same number, by other code."""
    from pycocoevalcap.bleu.bleu import Bleu

    draw = random.Random(1)
    words = ["a", "the", "cat", "dog", "sits", "runs", "on", "in", "mat", "park"]
    references = {i: [" ".join(draw.choices(words, k=9)) for _ in range(5)] for i in range(120)}
    captions = {i: " ".join(draw.choices(words, k=draw.randint(5, 10))) for i in references}
    found, _ = score_captions(references, captions)
    again, _ = score_captions(references, captions)
    assert found == again

    def bleu(left_out: int) -> list[float]:
        kept = [i for i in references if i != left_out]
        answers = {i: [captions[i]] for i in kept}
        scores, _ = Bleu(4).compute_score({i: references[i] for i in kept}, answers, verbose=0)
        return [float(score) for score in scores]

    without = [bleu(i) for i in references]
    for order in (1, 2, 3):
        values = [scores[order - 1] for scores in without]
        mean = sum(values) / len(values)
        spread = sum((value - mean) ** 2 for value in values) * (len(values) - 1) / len(values)
        assert found[f"BLEU-{order}"].standard_error == pytest.approx(math.sqrt(spread), rel=0.15)
