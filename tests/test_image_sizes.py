"""Images of other sizes than the model takes: resized for a look, refused in data."""

import base64
import io
from pathlib import Path

import pytest
from PIL import Image

from bench.arms.image_sizes import ImageSizes
from bench.arms.models import Answerer
from bench.base.errors import UserError
from bench.cli import main
from bench.report.demo import fitted
from tests.checkpoints import FIXTURE, copy_of_fixture, loaded, set_in

SIDE = 168
QUESTION = "What is the colour of the triangle shown here? A. red B. green C. blue D. white"


def encoded(size: tuple[int, int]) -> str:
    data = io.BytesIO()
    Image.new("RGB", size, (200, 30, 30)).save(data, "PNG")
    return base64.b64encode(data.getvalue()).decode()


def data_of(folder: Path, *sizes: tuple[int, int]) -> Path:
    lines = ["index\tquestion\tA\tB\tanswer\timage"]
    lines += [
        f"{7 + row}\tWhat is the colour of the triangle shown here?\tred\tgreen\tA\t{encoded(size)}"
        for row, size in enumerate(sizes)
    ]
    (folder / "sizes.tsv").write_text("\n".join(lines) + "\n")
    return folder / "sizes.tsv"


def told(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[object, str]:
    monkeypatch.setattr("sys.argv", ["bench", *command])
    with pytest.raises(SystemExit) as left:
        main()
    return left.value.code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("sizes", "named"),
    [
        ([(SIDE, SIDE), (224, 224)], "index 8: image is 224 x 224"),
        ([(SIDE, SIDE), (SIDE, 100), (224, 224)], "index 8: image is 168 x 100"),
        ([(336, 336), (336, 336)], "index 7: image is 336 x 336"),
        ([(84, 84)], "index 7: image is 84 x 84"),
        ([(240, 120)], "index 7: image is 240 x 120"),
    ],
)
def test_data_of_other_sizes_name_the_row_before_anything_is_answered(
    sizes: list[tuple[int, int]],
    named: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data, out = data_of(tmp_path, *sizes), tmp_path / "out"
    command = ["run", "--data", str(data), "--model", "tiny", "--work-dir", str(out)]
    code, error = told(command, monkeypatch, capsys)
    assert code == 2
    lines = [line for line in error.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert "sizes" in lines[0] and named in lines[0] and "takes 168 x 168" in lines[0]
    assert not list(out.rglob("predictions.jsonl"))


@pytest.mark.parametrize(
    ("size", "done"),
    [((320, 200), "padded to a square and resized"), ((400, 400), "resized"), ((50, 90), "padded")],
)
def test_a_photo_is_made_to_fit_and_that_is_said(
    size: tuple[int, int],
    done: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Image.new("RGB", size, (30, 200, 30)).save(tmp_path / "photo.png")
    photo, out = str(tmp_path / "photo.png"), str(tmp_path / "kept.png")
    code, error = told(["demo", photo, QUESTION, "--out", out], monkeypatch, capsys)
    assert code == 0
    notes = [line for line in error.splitlines() if line.startswith(f"note: {photo}: ")]
    assert len(notes) == 1
    assert f"{size[0]} x {size[1]} pixels, {done}" in notes[0]
    assert notes[0].endswith("resized to 168 x 168")


def test_padding_is_llava_s(capsys: pytest.CaptureFixture[str]) -> None:
    answerer = Answerer(loaded(FIXTURE / "model"), None)
    wide = Image.new("RGB", (2 * SIDE, SIDE), (10, 20, 30))
    made = fitted(wide, answerer, source=Path("wide.png"))
    assert made.size == (SIDE, SIDE)
    assert made.getpixel((SIDE // 2, 2)) == (127, 127, 127)  # the processor's mean
    assert made.getpixel((2, SIDE // 2)) == (10, 20, 30)
    assert "wide.png" in capsys.readouterr().err
    as_it_is = Image.new("RGB", (SIDE, SIDE))
    assert fitted(as_it_is, answerer, source=Path("square.png")) is as_it_is


def test_a_processor_that_crops_takes_any_size_and_one_that_only_resizes_squares(
    tmp_path: Path,
) -> None:
    folder = copy_of_fixture(tmp_path / "model")
    set_in(folder / "processor_config.json", image_processor__do_resize=True)
    resizing = loaded(folder).processor
    sizes = ImageSizes(resizing, SIDE, square=False)
    assert sizes.fits((400, 400)) and not sizes.fits((400, 300))
    assert ImageSizes(resizing, SIDE, square=True).fits((400, 300))
    set_in(folder / "processor_config.json", image_processor__do_center_crop=True)
    assert ImageSizes(loaded(folder).processor, SIDE, square=False).fits((400, 300))
    set_in(folder / "processor_config.json", image_processor__crop_size={"height": 84, "width": 84})
    assert not ImageSizes(loaded(folder).processor, SIDE, square=True).fits((SIDE, SIDE))


def test_a_batch_of_mixed_sizes_is_one_line_too() -> None:
    answerer = Answerer(loaded(FIXTURE / "model"), None)
    images = [Image.new("RGB", (SIDE, SIDE)), Image.new("RGB", (224, 112))]
    with pytest.raises(UserError, match=r"image 1 is 224 x 112 pixels, .* takes 168 x 168"):
        answerer.encode(["<image> What", "<image> Which"], images)
