"""Reference runs: the shipped ones say what the recorded runs say, and a user's own come back."""

import csv
import hashlib
import json
import shutil
from pathlib import Path

import pytest

from bench.base.errors import UserError
from bench.evaluation.references import load_captions, load_letters, load_reference, reference_names
from bench.evaluation.references.captions import truth_digest
from bench.evaluation.references.files import SHIPPED
from bench.evaluation.references.record import add_run, record
from bench.evaluation.references.store import read_reference
from bench.tasks import MATCHERS
from tests.compare_runs import captions_xlsx, keep_letters, questions_xlsx
from tests.task_files import RECORDED, needs_recorded

DENSE, HYBRID = "llava_v1.5_7b_MMBench_DEV_EN", "llava_v1.5_7b_hybrid_MMBench_DEV_EN"
CAPTIONS = "llava_v1.5_7b_hybrid_COCO_VAL"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VLM_HYBRID_REFERENCES", raising=False)


@pytest.mark.parametrize(
    ("name", "accuracy"), [(DENSE, 0.6280068728522337), (HYBRID, 0.5558419243986255)]
)
def test_circular_accuracy_follows_from_the_csv_alone(name: str, accuracy: float) -> None:
    questions: dict[int, list[bool]] = {}
    with (SHIPPED / f"{name}.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            questions.setdefault(int(row["index"]) % 1_000_000, []).append(row["hit"] == "1")
    assert sum(map(len, questions.values())) == 4329
    assert sum(map(all, questions.values())) / len(questions) == accuracy
    assert load_reference(name) == {question: all(hits) for question, hits in questions.items()}


def test_the_two_shipped_references_pair_by_question() -> None:
    dense, hybrid = load_reference(DENSE), load_reference(HYBRID)
    assert dense.keys() == hybrid.keys() and len(dense) == 1164
    assert sum(dense[q] and not hybrid[q] for q in dense) == 125
    assert sum(hybrid[q] and not dense[q] for q in dense) == 41


@pytest.mark.parametrize("name", [DENSE, HYBRID])
def test_a_recipe_counts_what_its_csv_holds_and_carries_no_text(name: str) -> None:
    reference = load_letters(name)
    recipe = reference.recipe
    assert recipe.rows == len(reference.letters) and recipe.questions == len(reference.hits)
    assert recipe.rows_right == sum(reference.row_hits.values())
    assert recipe.questions_right == sum(reference.hits.values())
    assert recipe.unreadable == sum(letter is None for letter in reference.letters.values())
    assert recipe.matcher in MATCHERS
    assert {len(letter) for letter in reference.letters.values() if letter} == {1}


@needs_recorded
@pytest.mark.usefixtures("scored_once")
def test_recording_again_gives_the_shipped_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "bench.evaluation.references.files.SHIPPED", tmp_path / "nothing shipped yet"
    )
    for path in record(RECORDED, tmp_path):
        for file in (path, path.with_suffix(".json")):
            assert file.read_bytes() == (SHIPPED / file.name).read_bytes()


def test_a_users_run_is_kept_where_they_said_and_comes_back(tmp_path: Path) -> None:
    run = questions_xlsx(tmp_path / "mine_tiny-mmbench.xlsx", "ABCD")
    folder = tmp_path / "kept"
    path = add_run(run, None, folder)
    assert path == folder / "mine_tiny-mmbench.csv"
    assert load_reference("mine_tiny-mmbench", folder) == {1: True, 2: False, 3: False, 4: False}
    assert reference_names(folder) == [DENSE, CAPTIONS, HYBRID, "mine_tiny-mmbench"]
    recipe = json.loads(path.with_suffix(".json").read_text())
    assert recipe["data"] == "tiny-mmbench" and recipe["model"] == "mine"
    assert str(tmp_path) not in path.with_suffix(".json").read_text()


def test_without_a_folder_references_stand_in_the_working_directory_or_where_the_variable_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = questions_xlsx(tmp_path / "run.xlsx", "AAAA")
    assert add_run(run, "one", None) == Path("references/one.csv")
    monkeypatch.setenv("VLM_HYBRID_REFERENCES", str(tmp_path / "mine"))
    assert add_run(run, "one", None) == tmp_path / "mine" / "one.csv"
    assert load_reference("one") == dict.fromkeys([1, 2, 3, 4], True)


def test_what_a_matcher_can_not_read_has_no_letter(tmp_path: Path) -> None:
    run = questions_xlsx(tmp_path / "run.xlsx", ["A", "no idea", "A", "A"])
    add_run(run, "unsure", tmp_path)
    assert load_letters("unsure", tmp_path).letters[2] is None
    assert load_letters("unsure", tmp_path).recipe.unreadable == 1


def test_a_name_is_never_given_twice(tmp_path: Path) -> None:
    run = questions_xlsx(tmp_path / "run.xlsx", "AAAA")
    add_run(run, "taken", tmp_path)
    for name in ("taken", DENSE):
        with pytest.raises(UserError, match=r"exists in .*: give another --name"):
            add_run(run, name, tmp_path)


@pytest.mark.parametrize("name", ["../out", "", ".hidden", "a b", "a/b"])
def test_a_name_that_is_no_file_name_is_refused(tmp_path: Path, name: str) -> None:
    run = questions_xlsx(tmp_path / "run.xlsx", "AAAA")
    with pytest.raises(UserError, match="can't name a reference"):
        add_run(run, name or " ", tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


def test_an_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(
        UserError, match=f"no reference 'llava': there are {DENSE}, {CAPTIONS}, {HYBRID}"
    ):
        load_reference("llava")


def test_a_missing_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none does not exist"):
        add_run(tmp_path / "none", None, tmp_path)


def test_captions_are_kept_and_what_people_wrote_is_not(tmp_path: Path) -> None:
    run = captions_xlsx(tmp_path / "model_coco.xlsx", ["a cat,\nblack", 'a "dog"'])
    path = add_run(run, "captions", tmp_path / "kept")
    found = load_captions("captions", tmp_path / "kept")
    assert found.captions == {1: "a cat,\nblack", 2: 'a "dog"'}
    assert found.truth == {
        1: truth_digest(["a cat", "one cat"]),
        2: truth_digest(["a dog", "one dog"]),
    }
    assert found.recipe.images == 2
    assert "one cat" not in path.read_text()


def test_a_digest_of_captions_is_blind_to_white_space_alone() -> None:
    assert truth_digest(["a cat ", "one\n cat"]) == truth_digest(["a cat", "one cat"])
    others = (["a cat"], ["one cat", "a cat"], ["a cat", "One cat"], ["a cat", "one", "cat"])
    for other in others:
        assert truth_digest(other) != truth_digest(["a cat", "one cat"])


def test_the_shipped_captions_are_the_recorded_ones() -> None:
    found = load_captions(CAPTIONS)
    assert len(found.captions) == len(found.truth) == found.recipe.images == 5000
    assert found.recipe.cider == pytest.approx(0.74059, abs=1e-5)
    assert found.recipe.prompt == "recorded-hybrid" and found.recipe.tokeniser == "raw"


def test_a_reference_of_the_other_kind_is_refused_by_name() -> None:
    with pytest.raises(UserError, match=f"{CAPTIONS} keeps captions"):
        load_reference(CAPTIONS)
    with pytest.raises(UserError, match=f"{DENSE} keeps letters"):
        load_captions(DENSE)


@pytest.mark.parametrize("damage", ["csv", "json", "fields", "list", "kind", "missing"])
def test_a_damaged_reference_is_an_error_in_one_line(tmp_path: Path, damage: str) -> None:
    for ending in ("csv", "json"):
        shutil.copy(SHIPPED / f"{DENSE}.{ending}", tmp_path / f"mine.{ending}")
    rows, recipe = tmp_path / "mine.csv", tmp_path / "mine.json"
    if damage == "csv":
        rows.write_bytes(rows.read_bytes().replace(b"1,D,1", b"1,D,0", 1))
    elif damage == "json":
        recipe.write_bytes(recipe.read_bytes()[:40])
    elif damage == "fields":
        recipe.write_text("{}")
    elif damage == "list":
        recipe.write_text("[]")
    elif damage == "kind":
        recipe.write_text(recipe.read_text().replace("mmbench", "coco"))
    else:
        rows.unlink()
    with pytest.raises(UserError, match="mine") as caught:
        load_reference("mine", tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (b'index,letter,hit\n1,"' + b"A" * 200_000 + b'",1\n', "neither an option's letter"),
        (b"index,letter,hit\n1,A\x00,1\n", "neither an option's letter"),
        (b"index,letter,hit\n1,A,2\n", "neither a hit"),
        (b"index,letter,hit\n1e999,A,1\n", "no whole number"),
        (b"index,letter,hit\ntrue,A,1\n", "no whole number"),
        (b"index,letter\n1,A\n", "hit"),
        (b"index,letter,hit\n1,A\n", "no rows of a reference"),
        (b"", "no rows of a reference"),
        (b"index,letter,hit\n1,\xff,1\n", "no rows of a reference"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_rows_that_are_none_are_one_line(tmp_path: Path, rows: bytes, reason: str) -> None:
    """Their digest is right, so that it is the rows themselves that are looked at."""
    keep_letters(tmp_path, "mine", wrong=(), questions=(1, 2))
    recipe = json.loads((tmp_path / "mine.json").read_text())
    recipe["content"] = hashlib.sha256(rows).hexdigest()
    (tmp_path / "mine.json").write_text(json.dumps(recipe))
    (tmp_path / "mine.csv").write_bytes(rows)
    with pytest.raises(UserError, match=reason) as refused:
        read_reference("mine", tmp_path)
    said = str(refused.value)
    assert "mine" in said and "\n" not in said and len(said) < 500
