"""Calibration finds thresholds that leave the tokens asked for, whatever interrupts it."""

import json
import signal
import subprocess
import sys
import time
from math import ceil, sqrt
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import torch
from PIL import Image
from transformers import CLIPImageProcessor, LlavaProcessor

from bench.arms.profiles import load_profile, load_thresholds
from bench.arms.profiles.thresholds import load_schedule
from bench.base.errors import UserError
from bench.cli import main as bench_main
from bench.fixture.tokens import processor as fixture_processor
from hybrid.calibrate.__main__ import main
from hybrid.calibrate.schedule import Live, count_live
from hybrid.calibrate.thresholds import RankingTower, calibrate, first_unmerged
from hybrid.calibrate.towers import TowerSource, find_images
from hybrid.config import HybridConfig
from hybrid.merging import THRESHOLDS_72OUT, VisualTokens
from hybrid.methods.dtome import DToMe
from hybrid.vision import VisionTower
from tests.llavas import PATCHES, random_llava

IMAGES, BATCH, TARGET = 22, 8, 12
MERGES = (PATCHES - TARGET) // 4  # in each of 4 blocks, of which LLaVA uses 3
REACHED = PATCHES - 3 * MERGES


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A random LLaVA on disk; its processor shrinks and crops to 84 pixels."""
    folder = tmp_path_factory.mktemp("checkpoint")
    random_llava().save_pretrained(folder)
    pixels: Any = CLIPImageProcessor(
        size={"shortest_edge": 84}, crop_size={"height": 84, "width": 84}
    )
    processor: Any = LlavaProcessor
    processor(pixels, fixture_processor().tokenizer, patch_size=14).save_pretrained(folder)
    return str(folder)


def draw(path: Path, seed: int) -> None:
    """An integer pattern, busier with a higher seed, not square."""
    cells = 2 + seed % 5
    shade = [
        (x * (31 + seed) + y * (57 + 3 * seed) + x * y * seed) % 256
        for y in range(cells)
        for x in range(cells)
    ]
    image = Image.new("RGB", (cells, cells))
    image.putdata([(s, (s * 7 + seed * 11) % 256, (s * 13) % 256) for s in shade])
    image.resize((120, 100), Image.Resampling.NEAREST).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    images = tmp_path / "images"
    images.mkdir()
    for i in range(IMAGES):
        draw(images / f"{i:03}.{('png', 'jpg', 'JPEG')[i % 3]}", i)
    (images / "notes.txt").write_text("not an image")
    return images


@pytest.fixture(scope="module")
def source(checkpoint: str) -> TowerSource:
    return TowerSource.load(checkpoint, torch.float32, "cpu")


def command(folder: Path, checkpoint: str, /, **changes: object) -> list[str]:
    options: dict[str, object] = {
        "--checkpoint": checkpoint,
        "--target": TARGET,
        "--batch-size": BATCH,
        "--output": folder.parent / "thresholds.json",
        "--device": "cpu",
    }
    options |= {f"--{name.replace('_', '-')}": value for name, value in changes.items()}
    return [str(folder), *(str(part) for option in options.items() for part in option)]


def result(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder.parent / "thresholds.json").read_text())
    return document


def test_the_threshold_is_the_similarity_of_the_first_pair_left_out() -> None:
    out = float("-inf")
    similarity = torch.tensor([[out, 0.9, 0.5, 0.7], [out, 0.8, -0.2, out]])
    assert first_unmerged(similarity, 2) == pytest.approx(0.7)
    assert first_unmerged(similarity, 3) == pytest.approx(0.5)
    assert first_unmerged(similarity, 4) == pytest.approx(-0.2)
    assert first_unmerged(similarity, 5) == first_unmerged(similarity, 9) == out  # all merge


def test_where_nothing_is_to_merge_the_threshold_is_one() -> None:
    """DyMU starts from 1 and leaves it there; the highest similarity would merge other images'."""
    similarity = torch.tensor([[float("-inf"), 0.9998, 0.5]])
    assert first_unmerged(similarity, 0) == 1.0


def test_block_0_agrees_with_a_computation_by_hand(source: TowerSource, folder: Path) -> None:
    pixels = source.pixels(find_images(folder)[:5])
    keys: list[torch.Tensor] = []
    tower: Any = source.tower
    attention = tower.encoder.layers[0].self_attn
    hook = attention.k_proj.register_forward_hook(lambda _m, _i, out: keys.append(out))
    with torch.inference_mode():
        tower(pixels)
        hook.remove()
        ranking = RankingTower(tower, TARGET)
        ranking(pixels)

    best = []  # of each patch at an even place, over the tokens at odd places; CLS is place 0
    for image in keys[0].tolist():
        tokens = [[sum(row[c::8]) for c in range(8)] for row in image]  # 4 heads of 8
        units = [[v / sqrt(sum(w * w for w in row)) for v in row] for row in tokens]
        for even in units[2::2]:
            odd = [sum(a * b for a, b in zip(even, o, strict=True)) for o in units[1::2]]
            best.append(max(odd))
    expected = sorted(best, reverse=True)[MERGES * 5]
    assert ranking.ranking.found[0] == pytest.approx(max(0.0, expected), abs=1e-5)


def test_what_merges_in_calibration_is_r_in_every_block(source: TowerSource, folder: Path) -> None:
    with torch.inference_mode():
        left = RankingTower(source.tower, TARGET)(source.pixels(find_images(folder)[:BATCH]))
    assert int(left.valid.sum()) == TARGET * BATCH


def test_one_batch_meets_the_target_exactly(
    checkpoint: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(folder, checkpoint, batch_size=IMAGES)) == 0
    document = result(folder)
    # The thresholds, applied image by image as the model does, merge what the ranking merged.
    assert document["survivors"]["mean"] == REACHED == document["survivors"]["expected"]
    assert document["survivors"]["std"] > 0  # not the same number for each image
    assert document["images"] == document["survivors"]["images"] == IMAGES
    assert (document["patches"], document["blocks"], document["target"]) == (PATCHES, 4, TARGET)
    assert document["tower"].startswith("sha256:")
    assert f"{REACHED:.1f} +- " in capsys.readouterr().out


def test_the_schedule_has_room_for_every_one_of_a_few_images(
    checkpoint: str, source: TowerSource, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(folder, checkpoint)) == 0
    document = result(folder)
    thresholds, schedule = document["thresholds"], document["schedule"]
    pixels = source.pixels(find_images(folder))
    with torch.inference_mode():
        for block in range(3):  # cut off behind this block, the tower hands on what it leaves
            tower = VisionTower(source.tower, block + 1, DToMe(tuple(thresholds)))
            assert schedule[block] == int(tower(pixels).valid.sum(dim=1).max())
    assert schedule[3] == schedule[2] == document["survivors"]["max"] < PATCHES
    assert document["survivors"]["forced"] == 0
    said = f"its schedule leaves room for {schedule[2]} and forces merges on 0.00% of these images"
    assert said in capsys.readouterr().out
    HybridConfig(thresholds=thresholds, schedule=schedule)


def test_the_share_of_images_that_a_schedule_forces_is_what_the_tower_counts(
    source: TowerSource, folder: Path
) -> None:
    images = find_images(folder)
    thresholds = (0.95, 0.95, 0.9, 1.0)
    live = count_live(source, thresholds, images, BATCH)
    assert len(live.counts) == IMAGES and len(live.counts[0]) == 3
    widest, shares = live.schedule(), set()
    for less in (0, 1, 2, 3):
        schedule = (widest[0], *[max(widest[1] - less, ceil(widest[0] / 2))] * 3)
        tower = VisionTower(source.tower, -2, DToMe(thresholds, None, schedule))
        with torch.inference_mode():
            forced = tower(source.pixels(images)).forced
        assert forced is not None
        shares.add(live.forced(schedule))
        assert live.forced(schedule) == float((forced > 0).double().mean())
    assert len(shares) > 2, "without differences this says nothing"


def test_a_schedule_leaves_out_one_image_in_a_thousand() -> None:
    for images, out in ((1, 0), (999, 0), (1000, 1), (1999, 1), (2000, 2), (10_000, 10)):
        counts = [[90 - n % 7, 80 - n % 7] for n in range(images - out)]
        counts += [[144 - n, 120 - n] for n in range(out)]
        live = Live(patches=144, blocks=3, counts=counts)
        assert live.schedule() == (90, 80, 80)
        assert live.forced(live.schedule()) == out / images
        assert live.forced((144, 120, 120)) == 0.0


def test_several_batches_meet_the_target_within_a_tenth(checkpoint: str, folder: Path) -> None:
    assert main(command(folder, checkpoint)) == 0
    assert result(folder)["survivors"]["mean"] == pytest.approx(REACHED, rel=0.1)


def test_thresholds_are_the_mean_over_batches_and_a_short_one_counts_less(
    source: TowerSource, folder: Path, tmp_path: Path
) -> None:
    images = find_images(folder)

    def of(some: list[Path]) -> list[float]:
        return calibrate(source, some, TARGET, BATCH, tmp_path / f"{some[0].name}-{len(some)}")

    parts = [images[:8], images[8:16], images[16:]]
    weighted = zip(*map(of, parts), strict=True)
    expected = [(8 * a + 8 * b + 6 * c) / 22 for a, b, c in weighted]
    assert of(images) == pytest.approx(expected, abs=1e-12)
    even = zip(of(parts[0]), of(parts[1]), strict=True)
    assert of(images[:16]) == pytest.approx([fmean(pair) for pair in even], abs=1e-12)


def test_a_damaged_image_stops_the_run_and_the_same_command_continues_it(
    checkpoint: str,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert main(command(folder, checkpoint)) == 0
    undisturbed = result(folder)
    (folder.parent / "thresholds.json").unlink()

    damaged = find_images(folder)[17]  # in the third batch
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[: len(whole) // 3])
    capsys.readouterr()
    assert main(command(folder, checkpoint)) == 2
    message = capsys.readouterr().err
    assert str(damaged) in message and message.count("\n") == 1
    assert not (folder.parent / "thresholds.json").exists()
    assert json.loads((folder.parent / "thresholds.json.state").read_text())["done"] == 16

    ranked: list[int] = []
    call = RankingTower.__call__

    def watched(tower: RankingTower, pixels: torch.Tensor) -> VisualTokens:
        ranked.append(len(pixels))
        return call(tower, pixels)

    monkeypatch.setattr(RankingTower, "__call__", watched)
    damaged.write_bytes(whole)
    assert main(command(folder, checkpoint)) == 0
    assert ranked == [6]  # only what was missing
    assert result(folder) == undisturbed
    assert {path.name for path in folder.parent.iterdir()} == {"images", "thresholds.json"}


@pytest.mark.slow
def test_a_killed_run_ends_with_the_thresholds_of_an_undisturbed_one(
    checkpoint: str, folder: Path
) -> None:
    for i in range(IMAGES, 80):
        draw(folder / f"{i:03}.png", i)
    state = folder.parent / "thresholds.json.state"
    arguments = command(folder, checkpoint, batch_size=1)
    process = subprocess.Popen([sys.executable, "-m", "hybrid.calibrate", *arguments])
    while not state.exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert 0 < json.loads(state.read_text())["done"] < 80

    assert main(arguments) == 0
    continued = result(folder)
    assert main(arguments) == 0
    assert continued == result(folder)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"target": 13}, "another target (12, now 13)"),
        ({"batch_size": 4}, "another batch size (8, now 4)"),
        ({"dtype": "bfloat16"}, "another dtype (torch.float32, now torch.bfloat16)"),
    ],
)
def test_another_configuration_is_not_continued(
    checkpoint: str,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, object],
    reason: str,
) -> None:
    interrupt(checkpoint, folder)
    assert main(command(folder, checkpoint, **changes)) == 2
    assert reason in capsys.readouterr().err


def test_a_run_over_other_images_is_not_continued(
    checkpoint: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    interrupt(checkpoint, folder)
    find_images(folder)[0].unlink()
    assert main(command(folder, checkpoint)) == 2
    assert "another image list" in capsys.readouterr().err


def test_a_damaged_state_is_named(
    checkpoint: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder.parent / "thresholds.json.state").write_text("{")
    assert main(command(folder, checkpoint)) == 2
    assert "thresholds.json.state is damaged: delete it" in capsys.readouterr().err


def interrupt(checkpoint: str, folder: Path) -> None:
    """Leave the state of 16 images behind."""
    last = find_images(folder)[-1]
    whole = last.read_bytes()
    last.write_bytes(b"")
    assert main(command(folder, checkpoint)) == 2
    last.write_bytes(whole)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"target": 7}, "--target 7 must be from 8 to 35"),
        ({"target": 36}, "--target 36 must be from 8 to 35"),
        ({"checkpoint": "no/such-folder/here"}, "cannot load no/such-folder/here"),
        ({"device": "abacus"}, "on abacus"),
        ({"output": "/no/such/folder/t.json"}, "cannot write /no/such/folder/t.json"),
    ],
)
def test_a_wrong_setting_is_one_line(
    checkpoint: str,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, object],
    reason: str,
) -> None:
    assert main(command(folder, checkpoint, **changes)) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ") and reason in message and message.count("\n") == 1


@pytest.mark.parametrize("value", ["0", "-1", "72.5", "many"])
def test_a_target_that_is_no_count_is_refused(
    value: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(command(folder, "unused", target=value))
    assert value in capsys.readouterr().err


def test_a_folder_without_images_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(tmp_path, "unused")) == 2
    assert f"{tmp_path} holds no .jpg or .png" in capsys.readouterr().err
    assert main(command(tmp_path / "gone", "unused")) == 2
    assert f"{tmp_path / 'gone'} is not a folder" in capsys.readouterr().err


def test_a_checkpoint_without_its_tower_is_refused(checkpoint: str, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    for file in Path(checkpoint).iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(tmp_path / "model.safetensors")
    kept = {name: w for name, w in weights.items() if "vision_tower" not in name}
    save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"it lacks the weight .*vision_tower"):
        TowerSource.load(str(tmp_path), torch.float32, "cpu")


def test_the_fingerprint_is_of_the_weights_not_of_the_run(checkpoint: str) -> None:
    single = TowerSource.load(checkpoint, torch.float32, "cpu").fingerprint
    assert TowerSource.load(checkpoint, torch.bfloat16, "cpu").fingerprint == single


def test_what_calibration_writes_bench_reads(checkpoint: str, folder: Path) -> None:
    assert main(command(folder, checkpoint, limit=4)) == 0
    profile = load_profile("tiny", str(folder.parent / "thresholds.json"))
    assert profile.reduction.thresholds == tuple(result(folder)["thresholds"])
    assert profile.reduction.capacity == load_profile("tiny").reduction.capacity
    assert profile.reduction.schedule is None, "a schedule is asked for by name"
    schedule = load_schedule(str(folder.parent / "thresholds.json"))
    assert schedule == tuple(result(folder)["schedule"])


def test_72out_is_a_preset_of_option_and_profile() -> None:
    assert load_profile("tiny", "72out").reduction.thresholds == THRESHOLDS_72OUT
    assert load_profile("llava-1.5-7b").reduction.thresholds == THRESHOLDS_72OUT


def test_a_profile_finds_its_thresholds_file_beside_itself(tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text('{"thresholds": [0.5, 0.25]}')
    shipped = (Path(__file__).parents[1] / "bench/arms/profiles/llava-1.5-7b.toml").read_text()
    profile = tmp_path / "mine.toml"
    profile.write_text(shipped.replace('"72out"', '"mine.json"'))
    assert load_profile(str(profile)).reduction.thresholds == (0.5, 0.25)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[0.9, 0.9]", "is not a thresholds file"),
        ("not json", "is not a thresholds file"),
        ('{"thresholds": [0.9, "high"]}', "is not a thresholds file"),
        ('{"thresholds": [0.9, "0.9"]}', "is not a thresholds file"),
        ('{"thresholds": [0.9, true]}', "is not a thresholds file"),
        ('{"thresholds": 0.9}', "is not a thresholds file"),
        ('{"thresholds": [0.9, NaN]}', "NaN is no number"),
        ('{"thresholds": [1.5]}', "the threshold of block 0 is 1.5"),
    ],
)
def test_what_is_no_thresholds_file_is_refused(tmp_path: Path, content: str, reason: str) -> None:
    file = tmp_path / "t.json"
    file.write_text(content)
    with pytest.raises(UserError, match=reason) as caught:
        load_thresholds(str(file))
    assert str(file) in str(caught.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"thresholds": [0.9]}', "is not a schedule file: python -m hybrid.calibrate writes one"),
        ('{"schedule": [9, 8.5]}', "is not a schedule file"),
        ('{"schedule": [9, true]}', "is not a schedule file"),
        ('{"schedule": []}', "holds no schedule: one for each block"),
        ('{"schedule": [9, 0]}', "the schedule of block 1 is 0, not a whole number from 1"),
    ],
)
def test_what_holds_no_schedule_is_refused(tmp_path: Path, content: str, reason: str) -> None:
    file = tmp_path / "t.json"
    file.write_text(content)
    with pytest.raises(UserError, match=reason) as caught:
        load_schedule(str(file))
    assert str(file) in str(caught.value)


def test_no_such_thresholds_file_names_the_preset_too() -> None:
    with pytest.raises(UserError, match=r"no thresholds 'gone.json' \(No such file.*72out"):
        load_thresholds("gone.json")


def bench_run(thresholds: str, work_dir: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Exit code of `python -m bench run` on one question of the shipped model."""
    arguments = ["run", "--data", "tiny-mmbench", "--model", "tiny_hybrid", "--limit", "1"]
    arguments += ["--thresholds", thresholds, "--work-dir", str(work_dir)]
    monkeypatch.setattr(sys, "argv", ["bench", *arguments])
    with pytest.raises(SystemExit) as caught:
        bench_main()
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_a_run_records_the_thresholds_it_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "t.json").write_text('{"thresholds": [0.99, 0.98, 0.97, 0.5]}')
    assert bench_run(str(tmp_path / "t.json"), tmp_path / "out", monkeypatch) == 0
    (document,) = (tmp_path / "out").rglob("run.json")
    assert json.loads(document.read_text())["config"]["thresholds"] == [0.99, 0.98, 0.97, 0.5]


def test_thresholds_of_another_tower_end_a_run_before_it_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench_run("72out", tmp_path / "out", monkeypatch) == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert "thresholds has 24 values, but this tower has 4 CLIP blocks" in message
    assert not (tmp_path / "out").exists()
