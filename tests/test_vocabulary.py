"""Words that the model does not have: said at a run's end and kept in its record."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.arms.models import Checkpoint, load_checkpoint
from bench.arms.profiles import load_profile
from bench.arms.vocabulary import said, unknown_in, unknown_words
from tests.task_files import picture, rotations, write_mmbench
from tests.typed import typed

Run = Callable[..., str]


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return load_checkpoint(load_profile("tiny"))


@pytest.fixture
def run(
    tmp_path: Path,
    checkpoint: Checkpoint,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """`run` on the data of a file; what it says on standard error."""
    monkeypatch.setattr("bench.arms.models.load_checkpoint", lambda profile: checkpoint)

    def answered(data: object, *more: str) -> str:
        given = ["--data", data, "--model", "tiny_hybrid", "--work-dir", tmp_path / "out"]
        code, _, err = typed(monkeypatch, capsys, "run", *given, *more)
        assert code == 0, err
        return err

    return answered


def record(tmp_path: Path, data: str) -> Any:
    path = tmp_path / "out" / "tiny_hybrid" / data / "run.json"
    return json.loads(path.read_text())["unknown_words"]


def test_prompts_of_unknown_words_are_counted_said_and_kept(tmp_path: Path, run: Run) -> None:
    image = picture("red", side=168)
    colour = "What is the colour of the square?"
    known = rotations(7, ("red", "green"), question=colour, image=image)
    strange = rotations(8, ("red", "green"), question="Which zebra is this?", image=image)
    option = rotations(9, ("red", "okapi"), question="What is the colour of this?", image=image)
    data = write_mmbench(tmp_path / "a.tsv", known, strange, option)
    line = (
        "note: 4 of 6 prompts of a hold words that the model does not have, so that its answers to"
        " them are guesses: okapi, zebra\n"
    )
    assert run(data) == line
    assert record(tmp_path, "a") == {"prompts": 4, "words": ["okapi", "zebra"]}
    assert run(data, "--reuse") == line
    assert run(data, "--mode", "eval") == line  # which loads no model


def test_where_every_word_is_known_nothing_is_said(tmp_path: Path, run: Run) -> None:
    assert run("tiny-mmbench", "--limit", "1") == ""
    assert record(tmp_path, "tiny-mmbench") == {"prompts": 0, "words": []}


def test_the_words_of_another_recipe_are_unknown_too(run: Run) -> None:
    assert "4 of 4 prompts of tiny-mmbench hold words" in run(
        "tiny-mmbench", "--limit", "1", "--prompt", "lmms-eval"
    )


@pytest.mark.parametrize("unknown", [None, 0])
def test_a_tokenizer_without_an_unknown_token_has_no_such_words(unknown: int | None) -> None:
    class Slow:
        """Two words of three are zeros."""

        is_fast = False
        unk_token_id = unknown

        def __call__(self, text: str, return_offsets_mapping: bool = False) -> Any:
            assert not return_offsets_mapping
            return {"input_ids": [int(word == "is") for word in text.split()]}

    words = [] if unknown is None else ["which", "zebra"]
    assert unknown_words(Slow(), "which zebra is which") == words
    found = None if unknown is None else {"prompts": 1, "words": words}
    assert unknown_in(Slow(), ["is", "which zebra is which"]) == found


@pytest.mark.parametrize(
    "damaged", [None, [], {}, {"prompts": "4", "words": []}, {"prompts": 4, "words": "zebra"}]
)
def test_a_record_that_is_none_says_nothing(damaged: Any) -> None:
    assert said(damaged, 6, "a") == ""
    words = [f"word{i}" for i in range(7)]
    assert said({"prompts": 4, "words": words}, 6, "a").endswith("word4 and 2 more")
