"""Data files: what they mean, and what a damaged one gets: one line that names file and row."""

import base64
import gc
import hashlib
import io
import os
import re
import struct
import warnings
import weakref
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageFile

from bench.base.errors import UserError
from bench.tasks import load, load_task, score_file
from bench.tasks.tables.images import ImageError, decode_image
from bench.tasks.tables.tsv import read_tsv
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
        (base64.b64encode(b"a text, not an image " * 9).decode(), "none of the formats JPEG"),
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
        (b'index\tA\tB\n1\t"x\ty\n2\tz\tw\n', ["line 2: a cell opens with a quotation mark"]),
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


IMG, UMG = picture("red"), picture("blue")
TWO_QUESTIONS = (
    "index\tquestion\tA\tB\tanswer\timage\n0\t{}\tyes\tno\tA\t{}\n1\t{}\tyes\tno\tA\t{}\n"
)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ('"What is this?', '"What is this?'),
        ('"What is this?', "What is this?"),
        ('"What is this?', 'Who said "this"?'),
        ('"What is this?', 'It says "this"'),  # the two halves make a record of the right width
        ('"', '"'),
        ('"Stop" says the sign.', "Why?"),
        ("Why?", '"What is this?'),
        ('""What?" is asked.', "Why?"),
        ('"What is\u2028this?', 'It says "this"'),
    ],
)
def test_a_quotation_mark_that_opens_a_cell_and_closes_elsewhere_is_refused(
    tmp_path: Path, first: str, second: str, end: str
) -> None:
    path = tmp_path / "a.tsv"
    text = TWO_QUESTIONS.format(first, IMG, second, UMG).replace("\n", end)
    path.write_bytes(text.encode())
    with pytest.raises(UserError) as error:
        load_task(path)
    one_line(
        error, str(path), "line 3" if second.startswith('"W') and first == "Why?" else "line 2"
    )
    assert "quotation mark" in str(error.value)


@pytest.mark.parametrize("last", ["comment", "image"])
def test_rows_swallowed_by_the_last_cell_are_missed(tmp_path: Path, last: str) -> None:
    path = tmp_path / "a.tsv"
    path.write_text(f'index\tanswer\t{last}\n0\tx\t"y\n1\tx\tz"\n')
    with pytest.raises(UserError, match=r"line 2: .* closed in a later row only"):
        read_tsv(path)
    path.write_text('index\tanswer\tcomment\n0\tx\t"y\nand\tz"\n1\tx\tw')
    assert [row["comment"] for row in read_tsv(path).rows.values()] == ["y\nand\tz", "w"]


@pytest.mark.parametrize(
    "question",
    ['"What is this?', '"', '""', 'say "this"', '"a" or "b"', 'one\n"two"\tthree', '"\n"'],
)
def test_what_pandas_writes_is_read_back(tmp_path: Path, question: str) -> None:
    pandas = pytest.importorskip("pandas")
    rows = {0: question, 1: "Why?", 2: question}
    frame = pandas.DataFrame(
        {"index": list(rows), "question": list(rows.values()), "A": "yes", "B": "no"}
        | {"answer": "A", "image": picture("red")}
    )
    path = tmp_path / "a.tsv"
    frame.to_csv(path, sep="\t", index=False)
    assert {i: row["question"] for i, row in read_tsv(path).rows.items()} == rows


def test_marks_that_open_no_cell_are_text(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text(
        TWO_QUESTIONS.format('a "b" c', IMG, 'say ""it""', UMG).replace("index", '"index"')
    )
    assert [row["question"] for row in read_tsv(path).rows.values()] == ['a "b" c', 'say ""it""']


def test_a_nul_byte_and_a_pipe_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text(TWO_QUESTIONS.format("Wh\0at?", IMG, "Why?", UMG))
    with pytest.raises(UserError, match="line 2: holds a NUL byte"):
        load_task(path)
    for name in ("pipe.tsv", "pipe.xlsx", "pipe.jsonl"):
        os.mkfifo(tmp_path / name)
        with pytest.raises(UserError, match=r"pipe\.\w+ is no regular file"):
            if name == "pipe.tsv":
                load_task(tmp_path / name)
            else:
                score_file(tmp_path / name, data="tiny-mmbench")


def encoded(image: Image.Image, form: str = "PNG", **options: Any) -> str:
    out = io.BytesIO()
    image.save(out, form, **options)
    return base64.b64encode(out.getvalue()).decode()


def grey_png_of_16_bits(values: Sequence[int]) -> str:
    """One row of pixels; written by hand, since Pillow's modes for it change with its version."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    head = struct.pack(">IIBBBBB", len(values), 1, 16, 0, 0, 0, 0)
    body = zlib.compress(b"\0" + struct.pack(f">{len(values)}H", *values))
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    return base64.b64encode(png).decode()


def test_16_bits_of_grey_are_scaled_and_not_cut_off() -> None:
    ramp = [0, 255, 256, 257, 4096, 32768, 65279, 65535]
    image = decode_image(grey_png_of_16_bits(ramp))
    assert [image.getpixel((x, 0)) for x in range(8)] == [(v >> 8,) * 3 for v in ramp]


@pytest.mark.parametrize(
    ("mode", "colour"), [("1", 1), ("L", 200), ("P", 3), ("LA", (200, 9)), ("RGBA", (9, 8, 7, 0))]
)
def test_other_modes_are_what_their_pixels_say(mode: str, colour: int | tuple[int, ...]) -> None:
    image = Image.new(mode, (9, 9), colour)
    options: dict[str, Any] = {}
    if mode == "P":
        image.putpalette([n for i in range(256) for n in (i, 2 * i % 256, 255 - i)])
        options = {"transparency": bytes(range(256))}
    expected = {"1": (255,) * 3, "L": (200,) * 3, "P": (3, 6, 252), "LA": (200,) * 3}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = decode_image(encoded(image, **options)).getpixel((4, 4))
    assert found == expected.get(mode, (9, 8, 7))


def test_cmyk_is_read_as_pillow_converts_it() -> None:
    text = encoded(Image.new("CMYK", (16, 16), (0, 200, 100, 20)), "JPEG")
    with Image.open(io.BytesIO(base64.b64decode(text))) as image:
        expected = image.convert("RGB").getpixel((8, 8))
    assert decode_image(text).getpixel((8, 8)) == expected != (255, 255, 255)


@pytest.mark.parametrize(
    ("image", "form", "reason"),
    [
        (Image.new("F", (8, 8), 0.5), "TIFF", "none of the formats JPEG, PNG, WEBP, BMP, GIF"),
        (Image.new("I", (8, 8), 70000), "TIFF", "none of the formats"),
        (Image.new("RGB", (8, 8)), "EPS", "none of the formats"),
        (Image.new("1", (7100, 7100)), "PNG", "7100 x 7100 pixels, more than the 50,000,000"),
    ],
)
def test_what_no_data_set_holds_is_refused_by_its_row(
    tmp_path: Path, image: Image.Image, form: str, reason: str
) -> None:
    path = write_mmbench(tmp_path / "a.tsv", rotations(7), rotations(8, image=encoded(image, form)))
    sample = next(s for s in load_task(path).samples if s.index == 1_000_008)
    with pytest.raises(UserError) as error:
        sample.image()
    one_line(error, str(path), "index 1000008", reason)


def test_pixels_are_counted_before_any_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda *_: pytest.fail("unpacked"))
    with pytest.raises(ImageError, match="12000 x 12000 pixels"):
        decode_image(encoded(Image.new("1", (12000, 12000))))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # Pillow's own bound, if it is smaller
    with pytest.raises(ImageError, match="image has more than 50,000,000 pixels"):
        decode_image(picture("red"))


def test_one_decoded_image_is_held_at_most() -> None:
    decode_image.cache_clear()
    kept = [weakref.ref(decode_image(picture(colour))) for colour in ("red", "blue", "green")]
    gc.collect()
    assert [reference() is None for reference in kept] == [True, True, False]


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
    lmu.mkdir()
    for value, folder in (("", home / "LMUData"), (str(lmu), lmu)):
        monkeypatch.setenv("LMUData", value)
        with pytest.raises(UserError) as error:
            load_task("COCO_VAL")
        one_line(error, f"at {folder / 'COCO_VAL.tsv'}", "72a5079dead060269ac222c5aa5128af")


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
