"""Images that are no squares reach LLaVA-1.5 whole, on a square of CLIP's mean colour."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import CLIPImageProcessor

from bench.arms.models import Answerer, load_checkpoint, padded_to_square
from bench.arms.profiles import load_profile
from bench.base.errors import UserError
from bench.evaluation.runs.evaluate import evaluate
from bench.evaluation.runs.job import Job, Options, open_task
from hybrid import Keep

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_BORDER = (122, 116, 104)
RED = (255, 0, 0)


@pytest.mark.parametrize(
    ("size", "box"),
    [
        ((6, 2), (0, 2, 6, 4)),
        ((2, 6), (2, 0, 4, 6)),
        ((5, 2), (0, 1, 5, 3)),  # an odd border: the wider part is below
        ((2, 5), (1, 0, 3, 5)),
        ((4, 4), (0, 0, 4, 4)),
    ],
)
def test_the_border_is_clip_s_mean_cut_to_whole_numbers(
    size: tuple[int, int], box: tuple[int, int, int, int]
) -> None:
    padded = padded_to_square(Image.new("RGB", size, RED), CLIP_MEAN)
    expected = Image.new("RGB", (max(size), max(size)), CLIP_BORDER)
    expected.paste(RED, box)
    assert padded.tobytes() == expected.tobytes() and padded.size == expected.size


def test_both_ends_of_a_wide_image_survive_only_with_padding() -> None:
    image = Image.new("RGB", (80, 20), (255, 255, 255))
    image.paste(RED, (0, 0, 10, 20))
    image.paste(RED, (70, 0, 80, 20))
    processor = CLIPImageProcessor(
        size={"shortest_edge": 28},
        crop_size={"height": 28, "width": 28},
        image_mean=CLIP_MEAN,
        do_normalize=False,
    )

    def greens_of_the_middle_row(picture: Image.Image) -> torch.Tensor:
        pixels: torch.Tensor = processor(picture, return_tensors="pt")["pixel_values"]
        return pixels[0, 1, 14]

    cut = greens_of_the_middle_row(image)
    whole = greens_of_the_middle_row(padded_to_square(image, CLIP_MEAN))
    assert cut.min() > 0.95  # nothing of the red ends
    assert whole[0] < 0.05 and whole[-1] < 0.05 and whole[14] > 0.95


@pytest.mark.parametrize("pad", [True, False])
def test_the_profile_s_setting_reaches_the_pixels_and_run_json_s_identity(
    pad: bool, tmp_path: Path
) -> None:
    tiny = load_profile("tiny")
    profile = replace(tiny, data=replace(tiny.data, pad_to_square=pad))
    checkpoint = load_checkpoint(profile)
    wide = Image.new("RGB", (168, 84), RED)
    prompt, answerer = ["USER: <image> ASSISTANT:"], Answerer(checkpoint, None)
    if pad:
        pixels = answerer.encode(prompt, [wide])["pixel_values"]
        assert pixels.shape == (1, 3, 168, 168)
        border, inside = (127 / 255 - 0.5) / 0.25, (1.0 - 0.5) / 0.25
        rows = pixels[0, 0, :, 0]  # red channel: 42 rows of border, 84 of image, 42 of border
        expected = torch.tensor([border] * 42 + [inside] * 84 + [border] * 42)
        torch.testing.assert_close(rows, expected)
    else:
        with pytest.raises(UserError, match="168 x 84 pixels, and this model takes 168 x 168"):
            answerer.encode(prompt, [wide])

    options = Options(work_dir=tmp_path, reuse=False, verbose=False, limit=1)
    task = open_task("tiny-mmbench", options)
    folder, _ = evaluate(checkpoint, Job(profile, "dense", Keep.parse("none"), task, options))
    written = json.loads((folder / "run.json").read_text())["data"]  # a part of the identity
    assert written["images"] == ("padded to square" if pad else "as they are")


def test_the_real_model_is_padded_and_the_tiny_one_is_not() -> None:
    assert load_profile("llava-1.5-7b").data.pad_to_square
    assert not load_profile("tiny").data.pad_to_square
