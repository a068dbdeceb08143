"""Hugging Face data sets: the same task as the same rows in a VLMEvalKit file."""

import base64
import io
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from PIL import Image

from bench.base.errors import UserError
from bench.tasks import load_task
from tests.task_files import picture, rotations, write_mmbench, write_tsv

datasets = pytest.importorskip("datasets")


def save(path: Path, rows: Sequence[Mapping[str, object]], image: object = None) -> str:
    """`rows` as a saved data set, its images in the feature `image`; returns its source."""
    columns = {name: [row.get(name) for row in rows] for name in rows[0]}
    dataset = datasets.Dataset.from_dict(columns)
    if image is not None:
        dataset = dataset.cast_column("image", image)
    dataset.save_to_disk(str(path))
    return f"hf:{path}"


def mmbench_rows() -> list[dict[str, object]]:
    return rotations(7, ("None", "NA", "yes"), image=picture("red"), hint="Hint.")


def raw(encoded: object) -> bytes:
    return base64.b64decode(str(encoded))


def as_images(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    return [row | {"image": {"bytes": raw(row["image"]), "path": None}} for row in rows]


@pytest.mark.parametrize("spelling", ["l2-category", "L2-category"])
@pytest.mark.parametrize("index_type", [int, str])
@pytest.mark.parametrize("stored", ["Image", "bytes", "base64"])
def test_every_way_to_store_mmbench_is_the_tsv_s_task(
    tmp_path: Path, spelling: str, index_type: type, stored: str
) -> None:
    rows = mmbench_rows()
    expected = load_task(write_mmbench(tmp_path / "a.tsv", rows))
    if stored == "Image":
        rows = as_images(rows)
    elif stored == "bytes":
        rows = [row | {"image": raw(row["image"])} for row in rows]
    for row in rows:
        row[spelling] = row.pop("l2-category")
        row["index"] = index_type(row["index"])
    source = save(tmp_path / "saved", rows, datasets.Image() if stored == "Image" else None)
    task = load_task(source)
    assert (task.kind, task.name) == ("mmbench", "saved")
    assert task.data_hash == expected.data_hash and task.prompt_hash == expected.prompt_hash
    assert task.samples[1].image().tobytes() == expected.samples[1].image().tobytes()
    answers = {int(str(row["index"])): str(row["answer"]) for row in rows}
    assert (
        task.score(answers).to_json()["categories"]
        == (expected.score(answers).to_json()["categories"])
    )


def test_what_was_empty_may_read_nan_but_none_and_na_are_options(tmp_path: Path) -> None:
    rows = rotations(7, ("None", "NA"), image=picture("red"))
    expected = load_task(write_mmbench(tmp_path / "a.tsv", rows))
    for row in rows:
        row |= {"hint": "nan", "C": "nan", "D": None, "comment": float("nan")}
    task = load_task(save(tmp_path / "saved", rows))
    assert task.prompt_hash == expected.prompt_hash
    assert "A. None\nB. NA\nAnswer" in task.samples[0].prompt


def test_an_image_kept_as_a_file_and_a_jpeg_are_read_to_the_byte(tmp_path: Path) -> None:
    out = io.BytesIO()
    Image.effect_noise((40, 24), 90).convert("RGB").save(out, "JPEG", quality=80)
    file = tmp_path / "noise.jpg"
    file.write_bytes(out.getvalue())
    rows = [row | {"image": {"bytes": None, "path": str(file)}} for row in mmbench_rows()]
    task = load_task(save(tmp_path / "saved", rows))
    encoded = base64.b64encode(out.getvalue()).decode()
    expected = load_task(
        write_mmbench(tmp_path / "a.tsv", [row | {"image": encoded} for row in mmbench_rows()])
    )
    assert task.data_hash == expected.data_hash
    file.unlink()
    with pytest.raises(UserError, match=r"line 1: the image .*noise\.jpg can't be read \(No such"):
        load_task(f"hf:{tmp_path / 'saved'}")


def test_captions_are_keyed_by_coco_s_image_number_and_asked_by_the_prompt(tmp_path: Path) -> None:
    captions = [["a cat", 'a "dog"'], ["two birds"]]
    names = ["COCO_val2014_000000203564.jpg", "000000000139.jpg"]
    rows: list[dict[str, object]] = [
        {"question_id": name, "image": picture("red"), "answer": answer, "id": 3, "height": 32}
        | {"question": "Please carefully observe the image."}
        for name, answer in zip(names, captions, strict=True)
    ]
    task = load_task(save(tmp_path / "saved", rows), prompt="one-sentence")
    tsv_rows = [
        {"index": index, "image": row["image"], "answer": str(row["answer"])}
        for index, row in zip((203564, 139), rows, strict=True)
    ]
    expected = load_task(write_tsv(tmp_path / "a.tsv", tsv_rows), prompt="one-sentence")
    assert task.kind == "coco" and list(task.indices) == [203564, 139]
    assert (task.data_hash, task.prompt_hash) == (expected.data_hash, expected.prompt_hash)
    assert task.score({203564: "a cat", 139: "two birds"}).metrics["CIDEr"].count == 2


def as_repository(folder: Path) -> Path:
    """README and parquet, of two configurations, as a repository's files are downloaded."""
    names = {"en": ("None", "yes"), "cn": ("a", "b")}
    for name, options in names.items():
        (folder / name).mkdir(parents=True)
        rows = rotations(7, options, image=picture("red"))
        datasets.Dataset.from_list(rows).to_parquet(
            str(folder / name / "dev-00000-of-00001.parquet")
        )
    listed = "".join(
        f"- config_name: {name}\n  data_files:\n  - split: dev\n    path: {name}/dev-*\n"
        for name in names
    )
    (folder / "README.md").write_text(f"---\nconfigs:\n{listed}---\n")
    return folder


def test_a_folder_is_read_whatever_wrote_it_and_however_it_is_spelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    as_repository(tmp_path / "files")
    rows = rotations(7, ("None", "yes"), image=picture("red"))
    expected = load_task(write_mmbench(tmp_path / "a.tsv", rows)).data_hash
    dataset = datasets.Dataset.from_list(rows)
    datasets.DatasetDict({"dev": dataset}).save_to_disk(str(tmp_path / "saved"))
    for start in ("", "./", f"{tmp_path}/"):
        assert load_task(f"hf:{start}files:en:dev").data_hash == expected
        assert load_task(f"hf:{start}saved:dev").data_hash == expected
        with pytest.raises(UserError, match="choose one of its splits dev"):
            load_task(f"hf:{start}files:en:test")
        with pytest.raises(UserError, match="has no configuration; leave out en"):
            load_task(f"hf:{start}saved:en:dev")
    with pytest.raises(UserError, match="can't be loaded") as error:
        load_task("hf:./files:dev")
    assert "\n" not in str(error.value)


def test_a_snapshot_in_the_hub_s_cache_is_enough_offline(tmp_path: Path) -> None:
    kept = tmp_path / "hub" / "datasets--me--birds"
    as_repository(kept / "snapshots" / ("0" * 40))
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text("0" * 40)
    code = "from bench.tasks import load_task; print(len(load_task('hf:me/birds:en:dev').samples))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "2\n"), done.stderr
    assert notes(done.stderr) == [
        f"note: hf:me/birds is read from its snapshot {'0' * 40} on this disk: Couldn't reach"
        " 'me/birds' on the Hub (OfflineModeIsEnabled)"
    ]


def notes(printed: str) -> list[str]:
    """Without the bars of `datasets`, which begin anew in their line."""
    return [line for line in printed.splitlines() if line.startswith("note: ")]


class ConnectError(type("TransportError", (Exception,), {})):  # type: ignore[misc]
    """As httpx names its own."""


def caused_by(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "offline"),
    [
        (ConnectionError("Couldn't reach 'me/birds'"), True),
        (TimeoutError("no answer"), True),
        (caused_by(FileNotFoundError("not cached"), ConnectError("refused")), True),
        (ValueError("Couldn't cast array of type string"), False),
        (FileNotFoundError("Couldn't find any data file"), False),
        (caused_by(FileNotFoundError("not found"), OSError("503 Service Unavailable")), False),
    ],
    ids=str,
)
def test_only_without_a_connection_is_another_revision_read_and_it_is_said(
    error: Exception,
    offline: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    snapshot = as_repository(tmp_path / ("1" * 40))
    load = datasets.load_dataset

    def load_dataset(where: str, *arguments: object, **options: object) -> object:
        if where == "me/birds":
            raise error
        return load(where, *arguments, **options)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(snapshot))
    if not offline:
        with pytest.raises(UserError, match="can't be loaded") as raised:
            load_task("hf:me/birds:en:dev")
        assert str(error) in str(raised.value) and not notes(capsys.readouterr().err)
        return
    assert len(load_task("hf:me/birds:en:dev").samples) == 2
    (said,) = notes(capsys.readouterr().err)
    assert said.startswith(f"note: hf:me/birds is read from its snapshot {'1' * 40} on this disk: ")
    assert said.endswith(str(error.__cause__ or error))


def test_a_folder_of_splits_needs_one_of_them(tmp_path: Path) -> None:
    dataset = datasets.Dataset.from_list(mmbench_rows())
    datasets.DatasetDict({"dev": dataset, "test": dataset}).save_to_disk(str(tmp_path / "both"))
    task = load_task(f"hf:{tmp_path / 'both'}:dev", limit=1)
    assert task.name == "both_dev" and len(task.samples) == 3
    for source in (f"hf:{tmp_path / 'both'}", f"hf:{tmp_path / 'both'}:val"):
        with pytest.raises(UserError, match="choose one of its splits dev, test"):
            load_task(source)


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ("hf:", "is no Hugging Face source: write hf:OWNER/NAME:SPLIT"),
        ("hf:a/b:", "is no Hugging Face source"),
        ("hf:a/b:c:d:e", "is no Hugging Face source"),
        ("hf:lmms-lab/MMBench", "names no split; write for example hf:lmms-lab/MMBench:val"),
        ("hf:/nowhere/at/all", "can't be loaded (Directory /nowhere/at/all not found); give a"),
    ],
)
def test_a_source_that_leads_nowhere_is_refused_in_one_line(source: str, part: str) -> None:
    with pytest.raises(UserError) as error:
        load_task(source)
    assert part in str(error.value) and "\n" not in str(error.value)


def test_rows_that_are_no_table_are_refused_by_line(tmp_path: Path) -> None:
    def refused(rows: list[dict[str, object]], name: str) -> str:
        source = save(tmp_path / name, rows)
        with pytest.raises(UserError) as error:
            load_task(source)
        assert source in str(error.value) and "\n" not in str(error.value)
        return str(error.value)

    rows = mmbench_rows()
    assert "no column index or question_id" in refused(
        [{k: v for k, v in row.items() if k != "index"} for row in rows], "a"
    )
    assert "line 2: index 7 is there twice" in refused([rows[0], rows[0]], "b")
    assert "line 1: index 'cat.jpg'" in refused(
        [{"question_id": "cat.jpg", "answer": ["a"], "image": picture("red")}], "c"
    )
    assert "row with index 7: the image cell is empty" in refused(
        [row | {"image": None} for row in rows], "d"
    )


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UserError, match="needs the package datasets; pip install datasets"):
        load_task("hf:lmms-lab/MMBench:en:dev")


def test_offline_the_command_says_in_one_line_what_to_do(tmp_path: Path) -> None:
    run = ["run", "--data", "hf:lmms-lab/MMBench:en:dev", "--model", "tiny"]
    done = subprocess.run(
        [sys.executable, "-m", "bench", *run, "--work-dir", str(tmp_path / "out")],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "cache")},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: hf:lmms-lab/MMBench:en:dev: can't be loaded (")
    assert "load it once with a network, or copy there and give hf:/FOLDER" in done.stderr
