"""The page of a comparison: whole in one file, safe to open, and honest about what is missing."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.arms.models import load_checkpoint
from bench.arms.profiles import load_profile
from bench.base.errors import UserError
from bench.evaluation.comparison.compare import Comparison, compare
from bench.evaluation.comparison.side import load_side
from bench.evaluation.runs.evaluate import evaluate
from bench.evaluation.runs.job import Job, Options, open_task
from bench.report.comparison.page import write_page
from bench.report.pictures import Kept, draw
from hybrid import Keep
from tests.compare_runs import captions_xlsx, questions_xlsx


class Tags(HTMLParser):
    """Every start tag with its attributes, and the text between them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Ten questions of the tiny data, answered by three arms."""
    profile = load_profile("tiny")
    checkpoint = load_checkpoint(profile)
    options = Options(tmp_path_factory.mktemp("runs"), reuse=False, verbose=False, limit=10)
    task = open_task("tiny-mmbench", options)
    return {
        arm: evaluate(checkpoint, Job(profile, arm, Keep.parse(18), task, options))[0]
        for arm in ("dense", "random", "lowest")
    }


def found(before: Path, after: Path) -> Comparison:
    return compare(load_side(str(before)), load_side(str(after)))


def test_flipped_questions_stand_there_with_image_answers_and_what_was_kept(
    runs: dict[str, Path], tmp_path: Path
) -> None:
    comparison = found(runs["random"], runs["lowest"])
    flipped = {*comparison.lost, *comparison.gained}
    assert flipped
    path = tmp_path / "compare.html"
    assert write_page(comparison, path) == []
    page = path.read_text()
    shown = Tags(page)
    assert {a["id"] for tag, a in shown.tags if tag == "section"} == {f"q{i}" for i in flipped}
    for id in flipped:
        assert comparison.before.questions[id].question in shown.text
    captions = re.findall(r"(before|after): (\S+): 18 of (\d+) tokens kept", shown.text)
    assert sorted(name for _, name, _ in captions) == sorted(
        [*["tiny_random"] * len(flipped), *["tiny_lowest"] * len(flipped)]
    )
    used = re.findall(r"var\(--(image-\w+)\)", page)
    assert len(used) == 3 * len(flipped)
    assert sorted(set(used)) == sorted(re.findall(r"--(image-\w+): url\(data:image/webp", page))
    assert not re.search(r"https?://|<script|<link|@import", page)


def test_an_arm_that_reduces_nothing_has_no_picture_and_the_page_says_so(
    runs: dict[str, Path], tmp_path: Path
) -> None:
    missing = write_page(found(runs["dense"], runs["random"]), tmp_path / "page.html")
    (note,) = missing
    assert "transformers' own model, which keeps every patch" in note
    assert note in Tags((tmp_path / "page.html").read_text()).text


def test_weights_other_than_the_runs_draw_no_picture(runs: dict[str, Path], tmp_path: Path) -> None:
    comparison = found(runs["random"], runs["lowest"])
    data = comparison.before.document["data"]
    assert isinstance(data, dict)
    data["weights"] = "sha256:0"
    notes = write_page(comparison, tmp_path / "page.html")
    assert notes == [
        "no picture of what tiny_random kept: the weights of tiny_random here are not the run's"
    ]


def test_data_that_the_runs_did_not_answer_is_not_shown_as_theirs(
    runs: dict[str, Path], tmp_path: Path
) -> None:
    comparison = found(runs["random"], runs["lowest"])
    data = comparison.before.document["data"]
    assert isinstance(data, dict)
    data["hash"] = "0"
    (note,) = write_page(comparison, tmp_path / "page.html")
    assert note.startswith("images are not shown: tiny-mmbench here is not the data")
    with pytest.raises(UserError, match="not the data that the runs answered"):
        write_page(comparison, tmp_path / "page.html", data="tiny-mmbench")


def test_without_pictures_the_model_is_left_alone(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.report.pictures.load_checkpoint", None)
    notes = write_page(
        found(runs["random"], runs["lowest"]), tmp_path / "page.html", pictures=False
    )
    assert notes == []


def test_text_of_questions_and_answers_can_not_become_markup(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    one = questions_xlsx(tmp_path / "one.xlsx", ["A", "A"], question=evil)
    two = questions_xlsx(tmp_path / "two.xlsx", [f"{evil} & none", "A"], question=evil)
    write_page(found(one, two), tmp_path / "page.html")
    shown = Tags((tmp_path / "page.html").read_text())
    assert "script" not in {tag for tag, _ in shown.tags}
    assert f"{evil} 1" in shown.text and f"unreadable: {evil} & none" in shown.text


def test_captions_that_changed_stand_beside_their_references(tmp_path: Path) -> None:
    one = captions_xlsx(tmp_path / "one.xlsx", ["a cat", "a dog", "a cow"])
    two = captions_xlsx(tmp_path / "two.xlsx", ["a cat", "a zebra", "a cow"])
    write_page(found(one, two), tmp_path / "page.html")
    shown = Tags((tmp_path / "page.html").read_text())
    assert [a["id"] for tag, a in shown.tags if tag == "section"] == ["q2"]
    for text in ("a dog", "a zebra", "one dog"):
        assert text in shown.text


def test_references_alone_make_a_page_of_letters(tmp_path: Path) -> None:
    names = ("llava_v1.5_7b_MMBench_DEV_EN", "llava_v1.5_7b_hybrid_MMBench_DEV_EN")
    write_page(compare(load_side(names[0]), load_side(names[1])), tmp_path / "page.html")
    shown = Tags((tmp_path / "page.html").read_text())
    assert sum(tag == "section" for tag, _ in shown.tags) == 166


def test_pruned_patches_are_dark_and_merged_ones_have_no_line_between_them() -> None:
    view = Image.new("RGB", (336, 336), (200, 40, 40))
    owner = np.array([0, 0, 2, 3])  # two by two patches; the upper two are one token
    picture = draw(view, Kept(owner, np.array([True, True, False, True]), (2, 2)))
    assert picture.getpixel((250, 80)) == (200, 40, 40)
    assert picture.getpixel((168, 40)) == (200, 40, 40)  # between the merged patches
    assert picture.getpixel((80, 250)) == (19, 19, 19)  # pruned: grey, at 0.22 of its brightness
    assert picture.getpixel((250, 168)) == (255, 255, 255)  # a line between two tokens
    assert picture.getpixel((84, 84)) == (255, 140, 0)  # where the merged token stands


def test_a_caption_counts_tokens_and_patches() -> None:
    kept = Kept(np.array([0, 0, 2, 3]), np.array([True, True, False, True]), (2, 2))
    assert kept.caption() == "2 of 3 tokens kept, from 4 patches; 3 patches are in them"
