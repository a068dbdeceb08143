"""Data files: what they mean, and what a damaged one gets: one line that names file and row."""

import base64
import hashlib
import re
from pathlib import Path

import pytest
from PIL import Image

from bench.errors import UserError
from bench.tasks import load, load_task
from bench.tasks.images import decode_image
from bench.tasks.tsv import read_tsv
from tests.task_files import MMBENCH_COLUMNS, picture, rotations, write_mmbench, write_tsv


def one_line(error: pytest.ExceptionInfo[UserError], *parts: str) -> None:
    message = str(error.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_options_that_read_none_or_na_survive_and_empty_cells_are_absent(tmp_path: Path) -> None:
    path = write_mmbench(tmp_path / "a.tsv", rotations(7, ("None", "NA", "nan", "N/A")))
    task = load_task(path)
    assert "A. None\nB. NA\nC. nan\nD. N/A\n" in task.samples[0].prompt
    row = read_tsv(path).rows[7]
    assert "hint" not in row and "comment" not in row and row["A"] == "None"


@pytest.mark.parametrize("text", ["41", " 41 ", "41.0", '"41"'])
def test_an_index_may_be_written_as_text_or_as_a_whole_float(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.tsv"
    path.write_text(f"index\timage\tanswer\n{text}\t{picture('red')}\t['a b']\n")
    assert list(read_tsv(path).rows) == [41]


def test_both_spellings_of_l2_category_are_one_column(tmp_path: Path) -> None:
    rows = rotations(7)
    for row in rows:
        row["L2-category"] = row.pop("l2-category")
    task = load_task(write_tsv(tmp_path / "a.tsv", rows))
    score = task.score({int(str(row["index"])): str(row["answer"]) for row in rows})
    assert list(score.categories["l2-category"]) == ["finegrained_perception (instance-level)"]


def test_a_hint_may_span_lines_and_hold_quotes_and_tabs(tmp_path: Path) -> None:
    hint = 'First line.\n\nA "quoted"\tword.'
    path = write_mmbench(tmp_path / "a.tsv", rotations(7, hint=hint))
    assert read_tsv(path).rows[7]["hint"] == hint


def test_windows_line_ends_and_a_byte_order_mark_change_nothing(tmp_path: Path) -> None:
    path = write_mmbench(tmp_path / "a.tsv", rotations(7))
    other = tmp_path / "b.tsv"
    other.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert read_tsv(other).rows == read_tsv(path).rows


def test_rows_that_point_to_one_image_share_it(tmp_path: Path) -> None:
    rows = rotations(7)
    rows[2]["image"], rows[3]["image"] = "1000007", "2000007"  # a chain back to row 7
    samples = load_task(write_mmbench(tmp_path / "a.tsv", rows)).samples
    images = [sample.image() for sample in samples]
    assert all(image is images[0] for image in images)
    assert images[0].size == (32, 32) and images[0].getpixel((0, 0)) == (255, 0, 0)


def test_a_pointer_file_and_a_file_with_copies_have_the_same_hash(tmp_path: Path) -> None:
    pointers = load_task(write_mmbench(tmp_path / "a.tsv", rotations(7)))
    copies = load_task(write_mmbench(tmp_path / "b.tsv", rotations(7, image=picture("red"))))
    other = load_task(write_mmbench(tmp_path / "c.tsv", rotations(7, image=picture("blue"))))
    assert pointers.data_hash == copies.data_hash != other.data_hash
    assert pointers.prompt_hash == other.prompt_hash
    assert re.fullmatch("[0-9a-f]{64}", pointers.data_hash)


@pytest.mark.parametrize(
    ("mode", "form"), [("RGBA", "PNG"), ("P", "PNG"), ("LA", "PNG"), ("L", "PNG"), ("RGB", "JPEG")]
)
def test_every_image_comes_out_as_rgb(mode: str, form: str) -> None:
    image = decode_image(picture("red", mode, form))
    assert image.mode == "RGB" and image.size == (32, 32)


def test_images_are_not_decoded_until_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode_image.cache_clear()
    monkeypatch.setattr(Image, "open", lambda *_: pytest.fail("decoded while loading"))
    load_task(write_mmbench(tmp_path / "a.tsv", rotations(7)))


def torn(image: str, keep: float) -> str:
    return image[: int(len(image) * keep)]


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (torn(picture("blue"), 0.7)[:-1] + "=", "not valid base64"),
        (picture("blue")[:-40] + "?" + picture("blue")[-39:], "not valid base64"),
        (base64.b64encode(base64.b64decode(picture("blue"))[:-30]).decode(), "can't be decoded"),
        (picture("blue", form="JPEG")[: 4 * 60], "can't be decoded"),
        (base64.b64encode(b"a text, not an image " * 9).decode(), "unknown format"),
    ],
)
def test_a_torn_image_names_its_file_and_row(tmp_path: Path, image: str, reason: str) -> None:
    path = write_mmbench(tmp_path / "a.tsv", rotations(7), rotations(8, image=image))
    sample = next(s for s in load_task(path).samples if s.index == 1_000_008)
    with pytest.raises(UserError) as error:
        sample.image()
    one_line(error, str(path), "index 1000008", reason)


@pytest.mark.parametrize(
    ("images", "parts"),
    [
        (["", "", "", ""], ["index 7", "image cell is empty"]),
        (["9", "7", "7", "7"], ["index 7", "'9' is neither base64 nor the index of a row"]),
        (["cat.png", "7", "7", "7"], ["index 7", "'cat.png' is neither"]),
        (["7", "7", "7", "7"], ["index 7", "in a circle: 7 -> 7"]),
        (["1000007", "2000007", "7", "7"], ["circle: 7 -> 1000007 -> 2000007 -> 7"]),
        ([f"['{picture('red')}']", "7", "7", "7"], ["index 7", "a list of images"]),
    ],
)
def test_an_image_cell_without_an_image_is_refused(
    tmp_path: Path, images: list[str], parts: list[str]
) -> None:
    rows = rotations(7)
    for row, image in zip(rows, images, strict=True):
        row["image"] = image
    path = write_mmbench(tmp_path / "a.tsv", rows)
    with pytest.raises(UserError) as error:
        load_task(path)
    one_line(error, str(path), *parts)


HEADER = "\t".join(MMBENCH_COLUMNS)


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (b"", ["is empty"]),
        (f"{HEADER}\n".encode(), ["no rows"]),
        (b"index\tA\tB\n1\tx\ty\n", ["no column question, answer; the columns are 'A, B'"]),
        (b"index\tquestion\tA\tB\tanswer\n1\tq\tx\ty\tA\n", ["no column image"]),
        (b"index\tquestion\n1\tq\n", ["neither MMBench", "nor COCO"]),
        (b"question\tA\tB\n1\tx\ty\n", ["no column index"]),
        (b"index\tA\tA\n1\tx\ty\n", ["column 'A' appears twice"]),
        (b"index\tl2-category\tL2-category\n1\tx\ty\n", ["'l2-category' appears twice"]),
        (b"index\tA\tB\n1\tx\n", ["line 2 has 2 cells where the header has 3"]),
        (b"index\tA\tB\n1\tx\ty\tz\n", ["line 2 has 4 cells"]),
        (b'index\tA\tB\n1\t"x\ty\n2\tz\tw\n', ["2 cells", "a quote is not closed"]),
        (b"index\tA\tB\n1\tx\ty\n1\tx\ty\n", ["line 3", "index 1 is there twice"]),
        (b"index\tA\tB\n1\tx\ty\n01\tx\ty\n", ["index 1 is there twice"]),
        (b"index\tA\tB\none\tx\ty\n", ["line 2", "index 'one' is not a whole number"]),
        (b"index\tA\tB\n\tx\ty\n", ["index '' is not a whole number"]),
        (b"index\tA\tB\n-1\tx\ty\n", ["index '-1'"]),
        (b"index\tA\tB\n1.5\tx\ty\n", ["index '1.5'"]),
        (b"index\tA\tB\n1\t\xff\ty\n", ["not UTF-8"]),
    ],
)
def test_a_file_that_is_no_table_is_refused(
    tmp_path: Path, content: bytes, parts: list[str]
) -> None:
    path = tmp_path / "a.tsv"
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        load_task(path)
    one_line(error, str(path), *parts)


def test_a_file_cut_off_inside_a_row_is_refused(tmp_path: Path) -> None:
    whole = write_mmbench(tmp_path / "a.tsv", rotations(7, ("yes", "no"))).read_bytes()
    path = tmp_path / "b.tsv"
    inside = [
        end
        for end in range(len(whole))
        if whole[:end].rpartition(b"\n")[2].count(b"\t") in range(1, len(MMBENCH_COLUMNS) - 1)
    ]
    assert len(inside) > 200
    for end in inside:
        path.write_bytes(whole[:end])
        with pytest.raises(UserError):
            load_task(path)


def test_a_missing_file_and_an_unknown_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        load_task(tmp_path / "gone.tsv")
    one_line(error, "gone.tsv", "No such file")
    with pytest.raises(UserError) as error:
        load_task("MMBench_DEV_CN")
    one_line(error, "no data set 'MMBench_DEV_CN'", "tiny-mmbench", "COCO_VAL")


def test_known_data_are_looked_for_where_vlmevalkit_puts_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, lmu = tmp_path / "home", tmp_path / "lmu"
    monkeypatch.setattr(Path, "home", lambda: home)
    for folder in (home / "LMUData", lmu):  # LMUData counts only if it exists
        monkeypatch.setenv("LMUData", str(lmu))
        with pytest.raises(UserError) as error:
            load_task("COCO_VAL")
        one_line(error, f"at {folder / 'COCO_VAL.tsv'}", "72a5079dead060269ac222c5aa5128af")
        lmu.mkdir(exist_ok=True)


def test_known_data_of_another_version_are_refused_by_md5(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LMUData", str(tmp_path))
    path = write_mmbench(tmp_path / "MMBench_DEV_EN.tsv", rotations(7))
    with pytest.raises(UserError) as error:
        load_task("MMBench_DEV_EN")
    found = hashlib.md5(path.read_bytes()).hexdigest()
    one_line(error, str(path), f"md5 is {found}", "expected b6caf1133a01c6bb705cf753bb527ed8")

    monkeypatch.setitem(load.KNOWN, "MMBench_DEV_EN", load.KnownData("mmbench", found))
    task = load_task("MMBench_DEV_EN")
    assert task.name == "MMBench_DEV_EN" and len(task.samples) == 4


def test_limit_and_subset_take_whole_questions(tmp_path: Path) -> None:
    by_rotation = [rotations(g) for g in (7, 8, 9)]
    rows = [rows[k] for k in range(4) for rows in by_rotation]
    path = write_mmbench(tmp_path / "a.tsv", rows)
    whole, first, chosen = (
        load_task(path),
        load_task(path, limit=1),
        load_task(path, subset=[9, 7]),
    )
    assert [s.index for s in first.samples] == [7, 1_000_007, 2_000_007, 3_000_007]
    assert [s.index % 1_000_000 for s in chosen.samples] == [7, 9] * 4
    assert {whole.group_key(s.index) for s in whole.samples} == {7, 8, 9}
    assert len({whole.data_hash, first.data_hash, chosen.data_hash}) == 3
    assert load_task(path, subset=[9, 7], limit=1).samples[0].index == 7


@pytest.mark.parametrize(
    ("limit", "subset", "part"),
    [
        (0, None, "limit 0 leaves no questions"),
        (-3, None, "limit -3"),
        (None, [], "the subset is empty"),
        (None, [7, 12, 11], "2 questions that the data doesn't have, the first is 11"),
    ],
)
def test_an_empty_or_foreign_selection_is_refused(
    tmp_path: Path, limit: int | None, subset: list[int] | None, part: str
) -> None:
    path = write_mmbench(tmp_path / "a.tsv", rotations(7))
    with pytest.raises(UserError) as error:
        load_task(path, limit=limit, subset=subset)
    one_line(error, part)


def test_the_shipped_data_are_sound_and_large_enough() -> None:
    questions, captions = load_task("tiny-mmbench"), load_task("tiny-coco")
    assert (questions.name, questions.kind) == ("tiny-mmbench", "mmbench")
    assert (captions.name, captions.kind) == ("tiny-coco", "coco")
    assert len({questions.group_key(index) for index in questions.indices}) >= 400
    assert len(questions.indices) > len({questions.group_key(i) for i in questions.indices})
    assert len(captions.indices) >= 200
    for sample in (*questions.samples, *captions.samples):
        assert sample.image().mode == "RGB"
    answers = questions.score(dict.fromkeys(questions.indices, "A"))
    assert answers.value == 0.0  # no letter is right in every rotation
    assert len(answers.categories["category"]) >= 5
    assert len(answers.categories["l2-category"]) >= 3
