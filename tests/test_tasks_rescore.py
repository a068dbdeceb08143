"""Prediction files: read as written, and refused in one line when damaged."""

import json
import re
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from bench.base.errors import UserError
from bench.tasks import load_task, read_predictions, score_file
from bench.tasks.tables.table import Table
from bench.tasks.tables.xlsx import read_xlsx, write_xlsx
from tests.task_files import MMBENCH_COLUMNS, rotations, write_mmbench

COLUMNS = ["index", "question", "A", "B", "answer", "prediction"]


def write_sheet(path: Path, rows: list[list[object]], columns: list[str] | None = None) -> Path:
    workbook = Workbook()
    sheet = workbook.active
    assert sheet is not None
    for row in [columns or COLUMNS, *rows]:
        sheet.append(tuple(row))  # type: ignore[arg-type]
    workbook.save(path)
    return path


def write_lines(path: Path, *records: object) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_written_xlsx_reads_back_and_scores_the_same(tmp_path: Path) -> None:
    options = ("None", "NA", "=1+1", "007")
    data = write_mmbench(tmp_path / "a.tsv", rotations(7, options, hint="two\nlines"))
    task = load_task(data)
    predictions = dict(zip(task.indices, ("B", "NA", "=1+1", "no _x0041_ idea\x07"), strict=True))
    score = task.score(predictions)
    sheet, _ = task.write_official(tmp_path, "m_a", predictions, score)
    again, read = read_predictions(sheet)
    assert read == predictions
    assert again.score(read).values == score.values
    assert again.score(read).unreadable == score.unreadable
    assert read_xlsx(sheet).rows[7]["hint"] == "two\nlines"
    kept = [column for column in MMBENCH_COLUMNS if column not in ("index", "image")]
    assert read_xlsx(sheet).columns == (*kept, "prediction")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(min_size=1).filter(lambda text: "\r" not in text), min_size=1, max_size=4))
def test_any_text_survives_an_xlsx_file(texts: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.xlsx"
        rows = {index: {"A": text} for index, text in enumerate(texts)}
        write_xlsx(path, Table("a", ("A",), rows), dict(enumerate(texts)))
        read = read_xlsx(path).rows
    assert [read[i]["A"] for i in rows] == texts == [read[i]["prediction"] for i in rows]


def test_numbers_in_cells_are_the_text_of_the_file(tmp_path: Path) -> None:
    rows: list[list[object]] = [[1, "q", 1, 2.5, "A", 1], ["2", "q", "1", "2.5", "B", 2.5]]
    path = write_sheet(tmp_path / "a.xlsx", rows)
    score = score_file(path)
    assert score.hits == {1: True, 2: True}


def test_an_xlsx_with_an_empty_prediction_counts_it_as_unreadable(tmp_path: Path) -> None:
    path = write_sheet(tmp_path / "a.xlsx", [[1, "q", "x", "y", "A", None]])
    score = score_file(path)
    assert (score.value, score.unreadable) == (0.0, 1)


def test_a_text_too_long_for_a_cell_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    table = Table("a", ("A",), {1: {"A": "x"}})
    with pytest.raises(UserError, match="index 1: prediction has 32768 characters"):
        write_xlsx(tmp_path / "a.xlsx", table, {1: "y" * 32768})
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, path = Table("a", ("A",), {1: {"A": "x"}}), tmp_path / "a.xlsx"
    write_xlsx(path, table, {1: "old"})

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(UserError, match=r"a\.xlsx: can't be written: No space left on device"):
        write_xlsx(path, table, {1: "new"})
    assert read_xlsx(path).rows[1]["prediction"] == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_jsonl_scores_against_its_data(tmp_path: Path) -> None:
    data = write_mmbench(tmp_path / "a.tsv", rotations(7, ("yes", "no")))
    path = write_lines(
        tmp_path / "p.jsonl",
        {"index": 7, "prediction": "B", "seconds": 0.1},
        {"index": 1_000_007, "prediction": "A"},
    )
    score = score_file(path, data=data)
    assert score.hits == {7: True}
    assert score.recipe["prompt"] == "not recorded"
    assert score_file(path, data=data, prompt="vlmevalkit").recipe["prompt"] == "vlmevalkit"


@pytest.mark.parametrize(
    ("lines", "part"),
    [
        ("", "holds no predictions"),
        ('{"index": 7, "prediction": "B"}\n', "1 of 2 rows have no prediction"),
        (
            '{"index": 7, "prediction": "B"}\n' * 2,
            "line 2: index 7 is there twice",
        ),
        (
            '{"index": 7, "prediction": "B"}\n{"index": 7, "prediction": "A"}\n',
            "line 2: index 7 is there twice",
        ),
        (
            "".join(f'{{"index": {i}, "prediction": "B"}}\n' for i in (7, 1_000_007, 8)),
            "the first is index 8",
        ),
        ('{"index": 7, "prediction": "B"}\n{"index": 10000', "line 2: not JSON"),
        ('{"index": "7", "prediction": "B"}\n', "line 1: needs a whole number index"),
        ('{"index": true, "prediction": "B"}\n', "line 1: needs a whole number index"),
        ('{"index": 7, "prediction": null}\n', "and a text prediction"),
        ("[7]\n", "line 1: needs"),
        ("\x00\n", "line 1: not JSON"),
    ],
)
def test_a_damaged_jsonl_is_refused(tmp_path: Path, lines: str, part: str) -> None:
    data = write_mmbench(tmp_path / "a.tsv", rotations(7, ("yes", "no")))
    path = tmp_path / "p.jsonl"
    path.write_text(lines)
    with pytest.raises(UserError) as error:
        score_file(path, data=data)
    assert part in str(error.value) and "\n" not in str(error.value)


GOOD: list[object] = [1, "q", "x", "y", "A", "A"]


@pytest.mark.parametrize(
    ("rows", "columns", "part"),
    [
        ([GOOD, GOOD], None, "line 3: index 1 is there twice"),
        ([], None, "holds no rows"),
        ([[None, *GOOD[1:]]], None, "line 2: index '' is not a whole number"),
        ([[*GOOD, "more"]], None, "line 2 has 7 cells where the header has 6"),
        ([GOOD[:5]], COLUMNS[:5], "no column prediction"),
        ([[1, "A"]], ["index", "prediction"], "neither MMBench"),
        ([[1, "q", "x", "y", "C", "A"]], None, "index 1: answer 'C' is not one of its options"),
        ([[1_000_001, *GOOD[1:]]], None, "row 1 of its circular group is missing"),
    ],
)
def test_a_damaged_xlsx_is_refused(
    tmp_path: Path, rows: list[list[object]], columns: list[str] | None, part: str
) -> None:
    path = write_sheet(tmp_path / "a.xlsx", rows, columns)
    with pytest.raises(UserError) as error:
        score_file(path)
    assert part in str(error.value) and "\n" not in str(error.value)
    assert str(error.value).startswith(str(path))


def repacked(path: Path, part: str, change: Callable[[bytes], bytes]) -> None:
    """The workbook with one of its parts changed."""
    with zipfile.ZipFile(path) as packed:
        parts = {name: packed.read(name) for name in packed.namelist()}
    parts[part] = change(parts[part])
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in parts.items():
            packed.writestr(name, content)


SHEET = "xl/worksheets/sheet1.xml"


@pytest.mark.parametrize(
    ("before", "after", "part"),
    [
        (b'<row r="2"', b'<row r="999999999"', "has a cell beyond row 1048576"),
        (b"</sheetData>", b'<row r="1048577"/></sheetData>', "has a cell beyond row 1048576"),
    ],
)
def test_a_row_far_out_ends_the_reading(
    tmp_path: Path, before: bytes, after: bytes, part: str
) -> None:
    path = write_sheet(tmp_path / "a.xlsx", [GOOD])
    repacked(
        path,
        SHEET,
        lambda xml: (
            re.sub(before + b"[^>]*", after.rstrip(b">"), xml, count=1)
            if before.startswith(b"<row")
            else xml.replace(before, after)
        ),
    )
    with pytest.raises(UserError) as error:
        score_file(path)
    assert part in str(error.value) and "\n" not in str(error.value)


def test_columns_far_out_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.tasks.tables.xlsx.MOST_CELLS", 3 * 16384)
    path = write_sheet(tmp_path / "a.xlsx", [GOOD])
    far = b"".join(b'<row r="%d"><c r="XFD%d"/></row>' % (n, n) for n in range(3, 9))
    repacked(path, SHEET, lambda xml: xml.replace(b"</sheetData>", far + b"</sheetData>"))
    with pytest.raises(UserError, match="more than 49,152 cells"):
        score_file(path)


def test_a_workbook_that_unpacks_to_more_than_is_allowed_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_sheet(tmp_path / "a.xlsx", [GOOD])
    repacked(path, SHEET, lambda xml: xml + b" " * 1_000_000)
    monkeypatch.setattr("bench.tasks.tables.xlsx.MOST_BYTES", 1_000_000)
    with pytest.raises(UserError, match=r"a\.xlsx: unpacks to 1,0\d\d,\d\d\d bytes, more than"):
        score_file(path)


def test_an_xlsx_short_of_its_data_is_refused(tmp_path: Path) -> None:
    data = write_mmbench(tmp_path / "a.tsv", rotations(7), rotations(8))
    first = load_task(data, limit=1)
    predictions = dict.fromkeys(first.indices, "A")
    sheet, _ = first.write_official(tmp_path, "m", predictions, first.score(predictions))
    assert score_file(sheet).samples == 4  # by itself it can't know
    with pytest.raises(UserError, match="4 of 8 rows have no prediction, the first is index 8"):
        score_file(sheet, data=data)


def test_files_that_are_no_workbook_or_not_there_are_refused(tmp_path: Path) -> None:
    sound = write_sheet(tmp_path / "a.xlsx", [GOOD]).read_bytes()
    path = tmp_path / "b.xlsx"
    for content in (b"", b"index,prediction\n", sound[:-200], sound[: len(sound) // 2]):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"b\.xlsx: not a readable \.xlsx workbook"):
            score_file(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "no sheet")
    with pytest.raises(UserError, match="not a readable"):
        score_file(path)
    with pytest.raises(UserError, match="No such file"):
        score_file(tmp_path / "gone.xlsx")
    with pytest.raises(UserError, match=r"give a \.xlsx or \.jsonl"):
        score_file(tmp_path / "a.csv")
    with pytest.raises(UserError, match="say which data"):
        score_file(write_lines(tmp_path / "p.jsonl", {"index": 1, "prediction": "A"}))
