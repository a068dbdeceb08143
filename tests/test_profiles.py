"""A profile's file: what is wrong in it is said in one line, with file, key, value and what may be.

Every setting of the model is tried with values of wrong types, so that none is forgotten.
"""

import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from bench.arms.models import arm_config
from bench.arms.profiles import FOLDER, load_profile, names, profile_of_model
from bench.arms.profiles.page import page
from bench.arms.profiles.reading import parse, table_of
from bench.arms.profiles.settings import ProfileFile
from bench.arms.published import ARMS
from bench.base.errors import UserError
from hybrid import Keep

SHIPPED = (FOLDER / "tiny.toml").read_text()
FULL = tomllib.loads((FOLDER / "llava-1.5-7b.toml").read_text())
WRONG: dict[str, Any] = {
    "a number in quotation marks": "8",
    "a percentage": "5%",
    "nothing": "",
    "two lines": "a\n# accuracy: PASS",
    "yes": True,
    "below zero": -1,
    "far below zero": -1.0e30,
    "not a number": float("nan"),
    "endless": float("inf"),
    "a list": [[[]]],
    "a table": {"a": {}},
    "a date": tomllib.loads("a = 2026-01-01")["a"],
}


def leaves(table: type = ProfileFile, key: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of every setting that is no table of settings."""
    for name, annotation in get_type_hints(table, include_extras=True).items():
        inner = table_of(annotation)
        if inner is not None:
            yield from leaves(inner, (*key, name))
        elif name != "bounds":
            yield (*key, name)


def written(tmp_path: Path, old: str, new: str) -> str:
    """A copy of the embedded profile with a change."""
    assert old in SHIPPED
    path = tmp_path / "my.toml"
    path.write_text(SHIPPED.replace(old, new, 1))
    return str(path)


def refusal(path: str) -> str:
    with pytest.raises(UserError) as caught:
        load_profile(path)
    text = str(caught.value)
    assert "\n" not in text and len(text) < 1000
    assert path in text
    return text


def with_value(key: tuple[str, ...], value: Any) -> dict[str, Any]:
    """All settings of the 7B's profile, and one of them set to `value`."""

    def copy(table: Any) -> Any:
        return {k: copy(v) for k, v in table.items()} if isinstance(table, dict) else table

    document: dict[str, Any] = copy(FULL)
    table = document
    for part in key[:-1]:
        table = table[part]
    table[key[-1]] = value
    return document


# What is no fault of the setting: texts that are names, lists, numbers below zero.
FINE = {
    ("name", "8"), ("name", "5%"), ("checkpoint", "8"), ("checkpoint", "5%"), ("names", "8"),
    ("mmbench", "8"), ("mmbench", "5%"), ("coco", "8"), ("coco", "5%"), ("keep", "8"),
    ("mmbench_subset", "8"), ("mmbench_subset", "5%"), ("coco_subset", "8"), ("coco_subset", "5%"),
    ("reference", "8"), ("reference", "5%"), ("dense_reference", "8"), ("dense_reference", "5%"),
    ("pad_to_square", True),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("key", list(leaves()), ids=".".join)
def test_every_setting_refuses_what_it_cannot_be(key: tuple[str, ...], what: str) -> None:
    value = WRONG[what]
    if isinstance(value, str | bool) and (key[-1], value) in FINE:
        return
    with pytest.raises(UserError) as caught:
        parse(with_value(key, value), Path("my.toml"))
    text = str(caught.value)
    assert text.startswith(f"my.toml: {'.'.join(key)}"), text
    assert "\n" not in text
    assert "nput should" not in text and "alid" not in text, "pydantic's words are about Python"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "margin = 0.03",
            'margin = "5%"',
            'gates.mmbench.margin is "5%": a share between 0 and 1, such as 0.05',
        ),
        ("margin = 0.03", "margin = 5", "gates.mmbench.margin is 5: a share between 0 and 1"),
        ("margin = 0.30", "margin = 1000", "gates.coco.margin is 1000: a CIDEr above 0 and up to"),
        ("floor = 5.5", "floor = 11", "gates.coco.floor is 11: a CIDEr from 0 to 10"),
        ("floor = 0.97", "floor = 97", "gates.mmbench.floor is 97: a share from 0 to 1"),
        ("batch_size = 16", 'batch_size = "8"', 'data.batch_size is "8": a whole number from 1'),
        ("batch_size = 16", "batch_size = 0", "data.batch_size is 0: a whole number from 1"),
        ("batch_size = 16", "batch_size = 8.0", "data.batch_size is 8.0: a whole number"),
        ("batch_size = 16", "batch_size = true", "data.batch_size is true: a whole number"),
        ("threads = 1 ", "threads = 0 ", "model.threads is 0: a whole number from 1 to 1024"),
        ("new_tokens = 16", "new_tokens = 0", "gates.latency.new_tokens is 0: a whole number"),
        ("budget_s = 45", "budget_s = 0", "gates.latency.budget_s is 0: a number of seconds"),
        ("budget_s = 45", "budget_s = inf", "gates.latency.budget_s is inf: a number of seconds"),
        ('"float32"', '"fp16"', 'model.dtype is "fp16": one of float32, float16, bfloat16'),
        ('"cpu"', '"mps"', 'model.device is "mps": cpu, cuda, or one GPU of several'),
        ('"cpu"', '"meta"', 'model.device is "meta": cpu, cuda'),
        ('"cpu"', '"cuda:-1"', 'model.device is "cuda:-1": cpu, cuda'),
        ("keep = 18 ", "keep = 1.0 ", "reduction.keep is 1.0: a whole number of visual tokens"),
        ("keep = 18 ", 'keep = "" ', 'reduction.keep is "": a whole number of visual tokens'),
        ("keep = 18 ", "keep = true ", "reduction.keep is true: a whole number of visual"),
        ("[0.999, 0.998, 0.98, 1.0]", "[]", "reduction.thresholds is []: 72out, a file"),
        ("[0.999, 0.998, 0.98, 1.0]", "[0.9, 1.5]", "reduction.thresholds is [0.9, 1.5]: 72out"),
        ("[0.999, 0.998, 0.98, 1.0]", '[0.9, "1"]', "reduction.thresholds is [0.9, "),
        ("[0.999, 0.998, 0.98, 1.0]", '"no.json"', "reduction.thresholds: no thresholds 'no.json'"),
        ("capacity = 96", "schedule = []", "reduction.schedule is []: a file that python -m"),
        ("capacity = 96", "schedule = [9, 0.5]", "reduction.schedule is [9, 0.5]: a file"),
        ("capacity = 96", "schedule = 9", "reduction.schedule is 9: a file that python -m"),
        ("capacity = 96", 'schedule = "no.json"', "reduction.schedule: no schedule 'no.json' (No"),
        ("batch-1.hybrid", "batch-1.hybird", "gates.latency.batch-1.hybird is no setting: one of"),
        ("batch-1.hybrid", "batch-1.dense", "gates.latency.batch-1.dense is no setting: one of"),
        ("batch-1.hybrid", "batch-0.hybrid", "gates.latency.batch-0 is no setting"),
        ("batch-1.hybrid", "bounds.1.hybrid", "gates.latency.batch-8 is no setting"),
        ("answer = 0.9", "anser = 0.9", "gates.latency.batch-1.hybrid.anser is no setting: one of"),
        ("answer = 0.9", "answer = 0", "gates.latency.batch-1.hybrid.answer is 0: a ratio"),
        ("answer = 0.9", "answer = 1e3", "gates.latency.batch-1.hybrid.answer is 1000.0: a ratio"),
        ("answer = 0.9\n", "\n", "gates.latency.batch-1.hybrid is {}: a table of prefill, decode"),
        ('names = "tiny"', 'names = ".."', 'model.names is "..": letters, digits'),
        ("keep = 18 ", "keap = 18 ", "reduction.keep is missing: a whole number"),
        ("keep = 18 ", "keap = 18 ", "reduction.keap is no setting; did you mean keep?"),
        ("[reduction]", "[reductoin]", "reductoin is no setting; did you mean reduction?"),
        ("[reduction]", "[reductoin]", "reduction is missing: a table, [reduction]"),
        ("[gates.coco]", "[gates.cider]", "gates.cider is no setting"),
        ('[model]\n', 'model = 3\n[other]\n', "model is 3: a table, [model]"),
        ('coco = "tiny-coco"\n', "", "gates.coco is about data.coco, which is missing: name both"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_in_our_words(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert message in refusal(written(tmp_path, old, new))


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    text = SHIPPED.replace("threads = 1 ", "threads = 0 ").replace('"cpu"', '"gpu"')
    path = tmp_path / "my.toml"
    path.write_text(text)
    told = refusal(str(path))
    assert "model.threads" in told and "model.device" in told


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name = '\xff'", "is not UTF-8 (byte 8)"),
        (b"\xff\xfen\x00", "is not UTF-8"),
        (b"a = " + b"[" * 5000 + b"]" * 5000, "is nested too deeply"),
        (b"a = " + b"9" * 5000, "is not TOML"),
        (b"name = ", "is not TOML"),
        (b"# " + b"x" * (1 << 20), "a profile is a small .toml file"),
        (b"", "name is missing: a text of one line; model is missing: a table, [model]"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_file_that_is_no_profile_is_one_line(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "my.toml"
    path.write_bytes(content)
    assert message in refusal(str(path))


def test_what_is_no_regular_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")  # would hang
    (tmp_path / "folder.toml").mkdir()
    assert "is no regular file" in refusal(str(tmp_path / "pipe.toml"))
    assert "is a folder" in refusal(str(tmp_path / "folder.toml"))
    assert "No such file" in refusal(str(tmp_path / "gone.toml"))
    assert "File name too long" in refusal(str(tmp_path / f"{'x' * 300}.toml"))[-200:]
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(UserError, match="is no regular file"):
        load_profile("tiny", str(tmp_path / "pipe.json"))


def test_one_gpu_of_several_can_be_named(tmp_path: Path) -> None:
    assert load_profile(written(tmp_path, '"cpu"', '"cuda:1"')).model.device == "cuda:1"


@pytest.mark.parametrize("keep", ["36", '"36"', "0.7", '"0.7"', '"none"'])
def test_keep_is_written_as_on_the_command_line(tmp_path: Path, keep: str) -> None:
    found = load_profile(written(tmp_path, "keep = 18 ", f"keep = {keep} ")).reduction.keep
    assert str(found) == keep.strip('"')


@pytest.mark.parametrize("digits", ["9" * 5000, "0." + "3" * 5000])
def test_endless_digits_are_no_budget(digits: str, tmp_path: Path) -> None:
    from hybrid.config import ConfigError, Keep

    with pytest.raises(ConfigError, match="a whole number of visual tokens"):
        Keep.parse(digits)
    assert "reduction.keep" in refusal(written(tmp_path, "keep = 18 ", f'keep = "{digits}" '))


CUT = re.sub(r"\ncoco = .*", "", SHIPPED[: SHIPPED.index("[gates.coco]")])


def test_a_profile_for_multiple_choice_needs_neither_captions_nor_bounds(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text(CUT)
    profile = load_profile(str(path))
    assert profile.judged == {"mmbench": "tiny-mmbench"}
    assert profile.prompts == "tiny-mmbench"
    with pytest.raises(UserError, match=r"says nothing of latency: give it \[gates.latency\]"):
        _ = profile.timing
    with pytest.raises(UserError, match="names no data for captions"):
        profile.data_of("coco")


def test_a_profile_that_judges_nothing_is_an_error_and_no_pass(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text(CUT[: CUT.index("[gates.mmbench]")])
    with pytest.raises(UserError, match="asks for no accuracy gate"):
        _ = load_profile(str(path)).judged


def test_paths_are_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, elsewhere = tmp_path / "mine", tmp_path / "elsewhere"
    (folder / "checkpoint").mkdir(parents=True)
    elsewhere.mkdir()
    (folder / "t.json").write_text('{"thresholds": [0.5], "schedule": [100]}')
    text = SHIPPED.replace("bench/fixture/model", "checkpoint").replace("tiny-mmbench", "my.tsv")
    text = text.replace("[0.999, 0.998, 0.98, 1.0]", '"t.json"').replace("tiny-coco", "hf:./c:val")
    text = text.replace("capacity = 96", 'schedule = "t.json"')
    text = text.replace("floor = 0.97", 'floor = 0.97\nreference = "./run"')
    text = text.replace("batch_size", 'mmbench_subset = "some.txt"\nbatch_size')
    (folder / "my.toml").write_text(text)
    monkeypatch.chdir(elsewhere)
    profile = load_profile("../mine/my.toml")
    assert profile.model.path == str(folder / "checkpoint")
    assert profile.data.mmbench == str(folder / "my.tsv")
    assert profile.data.coco == f"hf:{folder / 'c'}:val"
    assert profile.data.mmbench_subset == str(folder / "some.txt")
    assert profile.mmbench is not None and profile.mmbench.reference == str(folder / "run")
    assert profile.reduction.thresholds == (0.5,)
    assert profile.reduction.schedule == (100,)


def test_a_profile_s_schedule_is_what_its_merging_arms_run_by(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text(SHIPPED.replace("capacity = 96", "schedule = [120, 96, 72, 72]"))
    keep = Keep(count=18)
    for name, schedule in ((str(path), (120, 96, 72, 72)), ("tiny", None)):
        profile = load_profile(name)
        configs = {arm: arm_config(arm, profile, keep) for arm in ARMS[1:]}
        merging = {arm for arm, config in configs.items() if config and config.thresholds}
        assert merging == {"dymu", "hybrid", "random", "lowest", "compact"}
        for arm, config in configs.items():
            assert config is not None
            assert config.schedule == (schedule if arm in merging else None), arm


def test_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "mine").mkdir(parents=True)
    path = written(tmp_path, "bench/fixture/model", "~/mine")
    assert load_profile(path).model.path == str(tmp_path / "home" / "mine")
    path = written(tmp_path, "bench/fixture/model", "~/gone")
    assert "home/gone does not exist" in refusal(path)
    with pytest.raises(UserError, match="~nobody-here/x: there is no home folder"):
        load_profile(written(tmp_path, "bench/fixture/model", "~nobody-here/x"))


def test_a_checkpoint_that_is_not_there_says_where_it_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "/nope/x does not exist" in refusal(written(tmp_path, "bench/fixture/model", "/nope/x"))
    (tmp_path / "cwd" / "some" / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "cwd")
    told = refusal(written(tmp_path, "bench/fixture/model", "some/model"))
    assert "lies in the working directory" in told


def test_models_of_a_file_are_named_by_it_alone(tmp_path: Path) -> None:
    path = written(tmp_path, 'names = "tiny"', 'names = "mine"')
    assert profile_of_model("mine_hybrid", path) == (path, "hybrid")
    assert profile_of_model("mine", path) == (path, "dense")
    with pytest.raises(UserError, match="names start with mine"):
        profile_of_model("tiny_hybrid", path)
    with pytest.raises(UserError, match="needs --profile"):
        profile_of_model("mine_hybrid")


@pytest.mark.parametrize("name", names())
def test_shipped_profiles_are_sound(name: str) -> None:
    assert load_profile(name).judged.keys() == {"mmbench", "coco"}


def test_the_page_lists_every_setting_as_it_is() -> None:
    """`python -m bench.arms.profiles.page > docs/profiles.md` writes it anew."""
    shown = (Path(__file__).parents[1] / "docs" / "profiles.md").read_text()
    assert shown == page()
    for key in leaves():
        (row,) = re.findall(
            rf"^\| `{key[-1]}` \| (.+?) \| .* \| (.+) \|$", shown.split(heading(key))[1], re.M
        )[:1]
        assert all(cell.strip() for cell in row)


def heading(key: tuple[str, ...]) -> str:
    return f"[{'.'.join(key[:-1])}]\n" if key[:-1] else "## At the top\n"
