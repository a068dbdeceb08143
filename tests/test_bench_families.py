"""The suite on checkpoints of the other families: small untrained ones, images of several sizes."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from bench.arms.finite import _alone
from bench.arms.models import Answerer, Checkpoint, arm_config, load_checkpoint
from bench.arms.profiles import Profile, load_profile
from bench.base.errors import UserError
from bench.cli import main
from bench.tasks import load_task
from hybrid import ConfigError, Keep
from tests.checkpoints import set_in
from tests.family_checkpoints import CHECKPOINTS, made

EACH = pytest.mark.parametrize("family", CHECKPOINTS)
STEPS = 3
BOUNDS = "min_pixels = 100352\nmax_pixels = 200704\n"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Profiles by family."""
    return {family: made(tmp_path_factory.mktemp(family), family) for family in CHECKPOINTS}


def opened(file: Path) -> tuple[Profile, Checkpoint]:
    profile = load_profile(str(file))
    return profile, load_checkpoint(profile)


def ran(command: list[str], monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setattr("sys.argv", ["bench", *command])
    with pytest.raises(SystemExit) as left:
        main()
    return left.value.code


def batch_of(profile: Profile, checkpoint: Checkpoint) -> tuple[Answerer, dict[str, Any]]:
    samples = load_task(str(profile.data.mmbench), chat=profile.model.chat).samples
    answerer = Answerer(checkpoint, None)
    return answerer, answerer.encode([s.prompt for s in samples], [s.image() for s in samples])


@EACH
def test_dense_is_transformers_own_and_off_is_dense(folders: dict[str, Path], family: str) -> None:
    """By its own processor and `generate`, one prompt at a time; ours in one batch of all sizes."""
    profile, checkpoint = opened(folders[family])
    samples = load_task(str(profile.data.mmbench), chat=profile.model.chat).samples
    answerer, batch = batch_of(profile, checkpoint)
    off = Answerer(checkpoint, arm_config("off", profile, Keep()))
    ours, none = answerer.new_ids(batch, STEPS), off.new_ids(batch, STEPS)
    assert ours.equal(none)
    processor, llava = checkpoint.processor, checkpoint.llava
    for row, sample in enumerate(samples):
        given = processor(text=[sample.prompt], images=[sample.image()], return_tensors="pt")
        ids = llava.generate(**given, max_new_tokens=STEPS, do_sample=False)
        theirs = ids[0, given["input_ids"].shape[1] :]
        assert ours[row, : len(theirs)].equal(theirs)
    assert len(set(map(tuple, ours.tolist()))) > 1, "images and options tell in the answer"


@EACH
def test_one_prompt_of_a_batch_is_what_it_is_alone(folders: dict[str, Path], family: str) -> None:
    """What looks for the layer that is not finite first answers a prompt by itself."""
    profile, checkpoint = opened(folders[family])
    _, batch = batch_of(profile, checkpoint)
    whole = Answerer(checkpoint, arm_config("hybrid", profile, Keep.parse("6"))).hybrid
    assert whole is not None
    for row in range(len(batch["input_ids"])):
        one = whole.prefill(whole.place(**_alone(batch, row)), 1).logits[0]
        among = whole.prefill(whole.place(**batch), 1).logits[row]
        torch.testing.assert_close(one, among, rtol=1e-4, atol=1e-4)


@EACH
def test_run_answers_scores_and_goes_on(
    folders: dict[str, Path],
    family: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    profile = load_profile(str(folders[family]))
    model = profile.model.names
    common = ["run", "--profile", str(folders[family]), "--work-dir", str(tmp_path)]
    asked = [*common, "--data", str(profile.data.mmbench), "--limit", "2"]
    for arm in ("dense", "hybrid", "divprune"):
        assert ran([*asked, "--model", model, "--arm", arm, "--mode", "all"], monkeypatch) == 0
    told = capsys.readouterr().out
    assert "circular accuracy" in told
    folder = tmp_path / f"{model}_hybrid" / "sizes"
    document = json.loads((folder / "run.json").read_text())
    assert document["asked"]["chat"] == profile.model.chat
    assert document["data"]["images"] == "as they are"
    assert len((folder / "predictions.jsonl").read_text().splitlines()) == 4
    assert json.loads((folder / "scores.json").read_text())["recipe"]["prompt"] == (
        f"vlmevalkit, {profile.model.chat}"
    )
    again = [*asked, "--model", f"{model}_hybrid", "--mode", "eval"]
    assert ran(again, monkeypatch) == 0
    assert ran(["score", str(folder / "predictions.jsonl")], monkeypatch) == 0
    one, other = str(tmp_path / model / "sizes"), str(folder)
    assert ran(["compare", one, other, "--profile", str(folders[family])], monkeypatch) == 0
    captions = [*common, "--data", "tiny-coco", "--model", model, "--limit", "2"]
    assert ran(captions, monkeypatch) == 0
    assert "CIDEr" in capsys.readouterr().out


@EACH
def test_latency_is_timed_and_unsure_without_a_bound(
    folders: dict[str, Path],
    family: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["latency", "--profile", str(folders[family]), "--work-dir", str(tmp_path)]
    assert ran(command, monkeypatch) == 3
    told = capsys.readouterr().out
    assert "batch-1/latency/hybrid/answer" in told and "batch-2/latency/hybrid/prefill" in told
    assert "UNSURE" in told and "PASS" not in told and "FAIL" not in told
    assert "not counted" in told, "the floors of other families"


@EACH
def test_nothing_waits_and_transformers_own_is_counted_beside(
    folders: dict[str, Path],
    family: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["syncs", "--profile", str(folders[family]), "--work-dir", str(tmp_path)]
    assert ran(command, monkeypatch) == 0
    name = load_profile(str(folders[family])).model.names
    asked = ["syncs", "--profile", str(folders[family]), "--model", f"{name}_hybrid"]
    assert ran([*asked, "--compare", name], monkeypatch) == 0
    told = capsys.readouterr().out
    waits = {name: float(n) for name, n in re.findall(r"^(\S+): (\S+) waits a token", told, re.M)}
    assert waits[f"{name}_hybrid"] < waits[name]


@EACH
def test_demo_shows_tokens_and_draws_what_stays(
    folders: dict[str, Path],
    family: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    image = tmp_path / "wide.png"
    Image.linear_gradient("L").resize((224, 112)).convert("RGB").save(image)
    out = tmp_path / "demo.png"
    command = ["demo", str(image), "--profile", str(folders[family]), "--out", str(out)]
    assert ran(command, monkeypatch) == 0
    told = capsys.readouterr().out
    assert "6 of " in told and "tokens kept" in told
    picture = Image.open(out)
    assert picture.width > picture.height
    assert ran([*command, "--arm", "visionzip", "--keep", "4"], monkeypatch) == 0


@EACH
def test_merging_in_the_tower_is_refused_in_one_line(folders: dict[str, Path], family: str) -> None:
    profile, checkpoint = opened(folders[family])
    with pytest.raises(UserError, match="has no thresholds, so dymu merges nothing"):
        arm_config("dymu", profile, Keep())
    merging = load_profile(str(folders[family]), "72out")
    with pytest.raises(ConfigError, match="take a method of the hand-over or language place"):
        Answerer(checkpoint, arm_config("hybrid", merging, Keep()))


@EACH
def test_a_chat_of_another_image_token_is_refused(folders: dict[str, Path], family: str) -> None:
    file = folders[family]
    other = "qwen2.5-vl" if family == "llava_next" else "llava-1.5"
    chat = load_profile(str(file)).model.chat
    wrong = file.with_name("wrong.toml")
    wrong.write_text(file.read_text().replace(f'chat = "{chat}"', f'chat = "{other}"'))
    said = rf"model\.chat is {other}, whose image is .*: set .*{chat}"
    with pytest.raises(UserError, match=said):
        opened(wrong)


@pytest.mark.parametrize(
    ("family", "setting", "value", "named"),
    [
        ("qwen2_5_vl", "vision_config__depth", 0, "vision_config.depth is 0"),
        ("qwen2_5_vl", "vision_config__out_hidden_size", 40, "out_hidden_size 40 is not the"),
        ("qwen2_5_vl", "vision_config__fullatt_block_indexes", [4], "4 is not one of 4 blocks"),
        ("qwen2_5_vl", "text_config__num_attention_heads", 5, "48 does not divide into 5"),
        ("qwen2_5_vl", "text_config__rope_parameters__mrope_section", [1, 1, 1], "half a head"),
        ("qwen2_5_vl", "image_token_id", 4000, "image_token_id 4000 is not in a vocabulary"),
        ("llava_next", "image_grid_pinpoints", [[84, 100]], "not made of crops of 84 x 84"),
        ("llava_next", "image_grid_pinpoints", [[84, 84]], "image_grid_pinpoints is "),
        ("llava_next", "vision_config__image_size", 7, "image_size 7"),
    ],
)
def test_a_config_that_cannot_be_is_one_line(
    family: str, setting: str, value: Any, named: str, tmp_path: Path
) -> None:
    profile = made(tmp_path, family)
    set_in(tmp_path / "model" / "config.json", **{setting: value})
    with pytest.raises(UserError) as raised:
        opened(profile)
    assert named in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("family", "setting", "value", "named"),
    [
        ("qwen2_5_vl", "merge_size", 1, "merge_size is 1, and by the model's config.json it must"),
        (
            "llava_next",
            "crop_size",
            {"height": 70, "width": 70},
            r"crop_size is \(70, 70\), and by",
        ),
    ],
)
def test_a_processor_that_contradicts_the_model_is_refused(
    family: str, setting: str, value: Any, named: str, tmp_path: Path
) -> None:
    profile = made(tmp_path, family)
    file = tmp_path / "model" / "processor_config.json"
    set_in(file, **{f"image_processor__{setting}": value})
    with pytest.raises(UserError, match=named):
        opened(profile)


def test_a_qwen_of_the_hub_has_its_words_at_the_top(tmp_path: Path) -> None:
    """As Qwen/Qwen2.5-VL-7B-Instruct lies there: no text_config, rope_scaling, a preprocessor."""
    profile = made(tmp_path, "qwen2_5_vl")
    model = tmp_path / "model"
    before = batch_of(*opened(profile))
    config = json.loads((model / "config.json").read_text())
    text = config.pop("text_config")
    rope = text.pop("rope_parameters")
    text |= {"rope_theta": rope["rope_theta"]}
    text |= {"rope_scaling": {"type": "mrope", "mrope_section": rope["mrope_section"]}}
    config |= {name: value for name, value in text.items() if name != "model_type"}
    (model / "config.json").write_text(json.dumps(config))
    processor = json.loads((model / "processor_config.json").read_text())
    images = processor["image_processor"]
    size = images.pop("size")
    images |= {"min_pixels": size["shortest_edge"], "max_pixels": size["longest_edge"]}
    (model / "preprocessor_config.json").write_text(json.dumps(images))
    (model / "processor_config.json").unlink()
    after = batch_of(*opened(profile))
    assert all(tensor.equal(after[1][name]) for name, tensor in before[1].items())
    assert before[0].new_ids(before[1], STEPS).equal(after[0].new_ids(after[1], STEPS))


def test_pixels_are_a_setting_of_the_profile_and_part_of_a_run(tmp_path: Path) -> None:
    profile, checkpoint = opened(made(tmp_path, "qwen2_5_vl", BOUNDS))
    _, batch = batch_of(profile, checkpoint)
    assert profile.data.images == "as they are, from 100352 pixels, up to 200704 pixels"
    assert int(batch["image_grid_thw"].prod(dim=1).min()) * 14 * 14 >= 100352
    assert batch["pixel_values"].shape[0] == int(batch["image_grid_thw"].prod(dim=1).sum())
    file = tmp_path / "own.toml"
    file.write_text(file.read_text().replace("max_pixels = 200704", "max_pixels = 90000"))
    with pytest.raises(UserError, match="at least 100352 pixels and at most 90000: set data"):
        opened(file)


def test_pixels_are_refused_where_images_have_one_size(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="are of models that take images of any size"):
        opened(made(tmp_path, "llava_next", "max_pixels = 90000\n"))


def test_a_sweep_is_refused_since_its_budgets_depend_on_the_image(
    folders: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["sweep", "--profile", str(folders["qwen2_5_vl"]), "--work-dir", str(tmp_path)]
    assert ran(command, monkeypatch) == 2
    assert "sweep draws over budgets" in capsys.readouterr().err


def test_an_image_that_no_processor_takes_is_named(folders: dict[str, Path]) -> None:
    answerer, _ = batch_of(*opened(folders["qwen2_5_vl"]))
    with pytest.raises(UserError, match="image 0 is 900 x 4 pixels, one side more than 200 times"):
        answerer.encode(["a"], [Image.new("RGB", (900, 4))])


def test_tiny_qwen_answers_in_the_suite_and_wrongly_by_chance_or_at_wrong_positions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prompts, processor, data and matcher together: what the model was taught reaches it."""

    def share(arm: str) -> float:
        command = ["run", "--data", "tiny-qwen-mmbench", "--model", "tiny-qwen", "--arm", arm]
        command += ["--limit", "40", "--work-dir", str(tmp_path)]
        assert ran(command, monkeypatch) == 0
        name = "tiny-qwen" if arm == "dense" else f"tiny-qwen_{arm}"
        scores = json.loads((tmp_path / name / "tiny-qwen-mmbench" / "scores.json").read_text())
        return float(scores["value"])

    assert min(share("dense"), share("hybrid")) > 0.9
    assert max(share("random"), share("compact")) < 0.6


def test_tiny_qwen_reaches_the_floors_of_its_own_gate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Few questions are too few to prove a margin: the floors are what passes."""
    command = ["accuracy", "--profile", "tiny-qwen", "--limit", "8", "--work-dir", str(tmp_path)]
    assert ran(command, monkeypatch) == 3
    told = capsys.readouterr().out
    for gate in ("tiny-qwen-mmbench/floor", "tiny-qwen-coco/floor"):
        assert re.search(rf"^{gate} +PASS", told, re.M)


@EACH
def test_accuracy_without_a_margin_or_a_floor_is_unsure(
    folders: dict[str, Path],
    family: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = folders[family].with_name("judged.toml")
    file.write_text(f"{folders[family].read_text()}\n[gates.mmbench]\n")
    command = ["accuracy", "--profile", str(file), "--work-dir", str(tmp_path)]
    assert ran(command, monkeypatch) == 3
    told = capsys.readouterr().out
    assert "no margin to judge it by" in told and "no floor to judge it by" in told
    assert "PASS" not in told and "FAIL" not in told


def test_a_llava_next_asked_in_the_words_of_another_model_is_said(
    folders: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    file = folders["llava_next"]
    load_checkpoint(load_profile(str(file)))
    assert "asks a llava_next in the words of" not in capsys.readouterr().err
    silent = file.with_name("silent.toml")
    silent.write_text(re.sub(r"chat = .*\n", "", file.read_text()))
    load_checkpoint(load_profile(str(silent)))
    assert "asks a llava_next in the words of llava-1.5; set" in capsys.readouterr().err
