"""`bench init`: the profile that it writes loads, and what it prints next can be typed."""

import json
import shlex
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.arms.models import arm_config, load_checkpoint
from bench.arms.profiles import load_profile
from bench.base.errors import UserError
from bench.cli import main
from bench.evaluation.runs.evaluate import evaluate
from bench.evaluation.runs.identity import read_document
from bench.evaluation.runs.job import Job, Options, describe, open_task
from bench.fixture import dataset
from bench.report.kept import kept_pictures
from bench.report.pictures import arm_pictures
from hybrid import Keep
from tests.checkpoints import copy_of_fixture, set_in
from tests.test_printed_commands import parsed

DATA = Path(dataset.__file__).parent / "data"
Init = Callable[..., str]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a checkpoint and a file with two questions, both with a space."""
    folder = tmp_path / "my dir"
    folder.mkdir()
    copy_of_fixture(folder / "my llava")
    rows(DATA / "tiny-mmbench.tsv", folder / "my data.tsv", 8)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def init(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Init:
    """Type the command; what it printed, or with `refused` the line of its error."""

    def typed(*arguments: str, refused: bool = False) -> str:
        monkeypatch.setattr("sys.argv", ["bench", "init", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        told = capsys.readouterr()
        assert (ended.value.code or 0) == (2 if refused else 0), told.err
        if refused:
            assert told.err.startswith("error: ") and told.err.count("\n") == 1
        return told.err if refused else told.out

    return typed


def rows(source: Path, to: Path, count: int) -> None:
    """The first rows of a circular file: the first questions, each with its rotations."""
    head, *lines = source.read_text().splitlines()
    groups: dict[int, list[str]] = {}
    for line in lines:
        groups.setdefault(int(line.split("\t")[0]) % 1_000_000, []).append(line)
    kept = [line for group in groups.values() for line in group][:count]
    to.write_text("\n".join([head, *kept]) + "\n")


GIVEN = ("--checkpoint", "my llava", "--data", "my data.tsv")


@pytest.mark.parametrize("out", ["my.toml", "profiles/own one.toml", "../beside.toml"])
def test_the_profile_loads_and_names_its_files_from_its_own_folder(
    place: Path, init: Init, out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "profiles").mkdir()
    init(*GIVEN, "--out", out)
    path = place / out
    document = tomllib.loads(path.read_text())
    assert not Path(document["model"]["checkpoint"]).is_absolute()
    monkeypatch.chdir("/")  # the working directory is not what its paths are relative to
    profile = load_profile(str(path))
    assert Path(profile.model.path).samefile(place / "my llava")
    assert Path(profile.prompts).samefile(place / "my data.tsv")
    assert profile.model.names == "my-llava"
    assert (profile.reduction.keep, set(profile.reduction.thresholds or ())) == (36, {1.0})
    assert profile.coco is None and profile.latency is None


@pytest.mark.parametrize("out", ["my.toml", "it's $HOME;.toml", "-f.toml"])
def test_each_next_command_is_one_that_can_be_typed(place: Path, init: Init, out: str) -> None:
    told = init(*GIVEN, f"--out={out}")
    assert "2 questions in 8 rows" in told
    commands = [line.strip() for line in told.splitlines() if line.startswith("  ")]
    heads = []
    for command in commands:
        words = shlex.split(command)
        assert words[:3] == ["python", "-m", "bench"]
        context = parsed(words[3:])
        given = context.params.get("profile_file") or context.params["profile"]
        assert Path(given).samefile(place / out)
        heads.append(words[3])
    assert heads == ["demo", "run", "accuracy", "compare", "syncs", "latency"]


def test_latency_is_asked_once_its_comment_is_none(place: Path, init: Init) -> None:
    init(*GIVEN)
    text = Path("my.toml").read_text()
    start = text.index("# [gates.latency]")
    lines = [line.removeprefix("#").removeprefix(" ") for line in text[start:].splitlines()]
    Path("my.toml").write_text(text[:start] + "\n".join(lines))
    assert load_profile("my.toml").timing.bounds == {1: {"hybrid": {"answer": 0.9}}}


def test_captions_are_asked_where_they_are_given(place: Path, init: Init) -> None:
    told = init(*GIVEN, "--captions", str(DATA / "tiny-coco.tsv"))
    assert "images in" in told
    profile = load_profile("my.toml")
    assert set(profile.judged) == {"mmbench", "coco"}
    told = init("--checkpoint", "my llava", "--captions", "tiny-coco", "--out", "captions.toml")
    assert set(load_profile("captions.toml").judged) == {"coco"}


@pytest.mark.parametrize("called", ["tiny", "tiny_finetuned", "..hidden", "-x y", "ä"])
def test_models_are_never_called_as_a_shipped_profile_s(
    place: Path, init: Init, called: str
) -> None:
    (place / "my llava").rename(place / called)
    init(f"--checkpoint=./{called}", "--data", "my data.tsv")
    profile = load_profile("my.toml")
    assert Path(profile.model.path).samefile(place / called)
    assert not f"{profile.model.names}_".startswith("tiny_")


def test_an_index_without_its_shards_is_no_checkpoint(place: Path, init: Init) -> None:
    folder = place / "my llava"
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": shards}))
    assert "it lacks model-00002-of-00002.safetensors, which" in init(*GIVEN, refused=True)
    index.write_text("{}")
    assert "has no weight_map" in init(*GIVEN, refused=True)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"--checkpoint": "nowhere"}, "there is no config.json of it here"),
        ({"--checkpoint": "nobody/has-this"}, "hf download"),
        ({"--data": "my.csv"}, "give the path of a .tsv file"),
        ({"--data": "none.tsv"}, "none.tsv"),
        ({"--data": "words.tsv"}, "words.tsv"),
        ({"--data": "tiny-coco"}, "give it as --captions"),
        ({"--captions": "my data.tsv"}, "give it as --data"),
        ({"--out": "my.txt"}, "ends in .toml"),
        ({"--out": "nowhere/my.toml"}, "there is no folder nowhere"),
        ({"--out": "there.toml"}, "replace it with --force"),
        ({"--out": "link.toml"}, "replace it with --force"),
        ({"--out": "folder.toml", "--force": ""}, "is a folder"),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_written(
    place: Path, init: Init, change: dict[str, str], said: str
) -> None:
    Path("words.tsv").write_text("no table\n")
    Path("there.toml").write_text("mine")
    Path("link.toml").symlink_to("gone")
    Path("folder.toml").mkdir()
    before = sorted(Path().iterdir())
    given = dict(zip(GIVEN[::2], GIVEN[1::2], strict=True)) | change
    words = [word for pair in given.items() for word in pair if word]
    assert said in init(*words, refused=True)
    assert sorted(Path().iterdir()) == before
    assert Path("there.toml").read_text() == "mine"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"model_type": "qwen2_vl"}, "is a qwen2_vl checkpoint"),
        ({"vision_config__model_type": "siglip_vision_model"}, "has a siglip_vision_model tower"),
    ],
)
def test_another_model_is_refused(
    place: Path, init: Init, settings: dict[str, str], said: str
) -> None:
    set_in(place / "my llava" / "config.json", **settings)
    assert said in init(*GIVEN, refused=True)
    assert not Path("my.toml").exists()


def test_weights_or_data_that_are_not_there(place: Path, init: Init) -> None:
    assert "give --data" in init("--checkpoint", "my llava", refused=True)
    (place / "my llava" / "model.safetensors").unlink()
    assert "it holds no model.safetensors" in init(*GIVEN, refused=True)


def test_force_replaces(place: Path, init: Init) -> None:
    Path("my.toml").write_text("mine")
    init(*GIVEN, "--force")
    assert load_profile("my.toml").model.names == "my-llava"


def test_runs_of_an_own_profile_have_pictures_and_are_not_called_merged(
    place: Path, init: Init
) -> None:
    init(*GIVEN)
    own = load_profile("my.toml")
    checkpoint = load_checkpoint(own)
    options = Options(place / "out", reuse=False, verbose=False)
    task = open_task(own.prompts, options)
    keep = Keep.parse(4)
    random, lowest = (
        evaluate(checkpoint, Job(own, arm, keep, task, options))[0] for arm in ("random", "lowest")
    )
    document = read_document(lowest / "run.json")
    with pytest.raises(UserError, match="no model 'my-llava_lowest'"):
        arm_pictures(document, task.samples[:1])
    assert arm_pictures(document, task.samples[:1], own)[0][1].startswith("4 of 144 tokens kept")
    assert len(kept_pictures(lowest, random, task, own)) == 2
    config = arm_config("hybrid", own, keep)
    assert describe(config).startswith("not merged")
    assert describe(arm_config("hybrid", load_profile("tiny"), keep)).startswith("merged")


def test_a_comparison_takes_images_and_pictures_from_the_own_profile(
    place: Path, init: Init, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    init(*GIVEN)
    own = load_profile("my.toml")
    checkpoint = load_checkpoint(own)
    options = Options(Path("out"), reuse=False, verbose=False)
    task = open_task(own.prompts, options)
    dense, lowest = (
        evaluate(checkpoint, Job(own, arm, Keep.parse(1), task, options))[0]
        for arm in ("dense", "lowest")
    )
    notes = []
    for more in ([], ["--profile", "my.toml"]):
        monkeypatch.setattr("sys.argv", ["bench", "compare", str(dense), str(lowest), *more])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
        notes.append([x for x in capsys.readouterr().out.splitlines() if x.startswith("note: ")])
    assert "your own profile with --profile" in notes[0][0]
    assert notes[1] == [
        "note: no picture of what my-llava kept: it is transformers' own model, which keeps every"
        " patch"
    ]
    assert "my-llava_lowest: 1 of 144 tokens kept" in (lowest / "compare.html").read_text()
