"""What belongs to a run's identity, what is kept of an earlier one, and how it may be called."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import bench
import hybrid
from bench.arms.checkpoint.identity import checkpoint_files, processor_hash, weights_hash
from bench.arms.models import Checkpoint, load_checkpoint, resolve_keep
from bench.arms.profiles import load_profile
from bench.base.errors import UserError
from bench.evaluation.runs.evaluate import infer_only
from bench.evaluation.runs.folder import run_folder, set_aside
from bench.evaluation.runs.identity import ANSWERING, IDENTITY, code_files
from bench.evaluation.runs.job import Job, Options, open_task
from bench.evaluation.runs.predictions import FILE, SEAL, line
from bench.fixture import dataset

MODEL = Path(dataset.__file__).parent / "model"
PROFILE = load_profile("tiny")
KEEP = resolve_keep("18", PROFILE)
SHARDS = ("a-00001.safetensors", "a-00002.safetensors", "below/a-00003.safetensors")
OTHERS = (
    "a.safetensors.index.json",
    "additional_chat_templates/tool.jinja",
    "chat_template.jinja",
    "merges.txt",
    "preprocessor_config.json",
    "tokenizer.model",
)


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return load_checkpoint(PROFILE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkpoint of three shards with all files that a loader may read."""
    model = tmp_path / "model"
    shutil.copytree(MODEL, model)
    (model / "model.safetensors").unlink()
    for name in (*SHARDS, *OTHERS):
        (model / name).parent.mkdir(exist_ok=True)
        (model / name).write_bytes(b"x" * 3_000_000)
    (model / OTHERS[0]).write_text(f'{{"weight_map": {{"w": "{SHARDS[2]}"}}}} ')
    return model


def test_a_byte_at_the_end_of_any_file_of_a_checkpoint_is_seen(folder: Path) -> None:
    before = checkpoint_files(str(folder))
    everything = [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]
    assert sorted(before) == sorted(everything)
    for name in everything:
        whole = (folder / name).read_bytes()
        changed = whole[:-1] + (b"\n" if name == OTHERS[0] else bytes([whole[-1] ^ 1]))
        (folder / name).write_bytes(changed)
        now = checkpoint_files(str(folder))
        assert [n for n in before if now.get(n) != before[n]] == [name]
        same = weights_hash(str(folder), now) == weights_hash(str(folder), before)
        assert same == (name not in SHARDS)
        if name not in (*SHARDS, OTHERS[0], "config.json", "generation_config.json"):
            assert processor_hash(now) != processor_hash(before)
        (folder / name).write_bytes(whole)
    (folder / "README.md").write_text("read by people")
    (folder / "pytorch_model.bin").write_bytes(b"not loaded")
    assert checkpoint_files(str(folder)) == before


def test_nothing_has_no_hash(folder: Path) -> None:
    for name in SHARDS:
        (folder / name).unlink()
    (folder / "pytorch_model.bin").write_bytes(b"noise")
    with pytest.raises(UserError, match="holds no weights"):
        checkpoint_files(str(folder))
    shutil.copy(MODEL / "model.safetensors", folder)
    for file in (*folder.glob("*.json"), *folder.rglob("*.jinja"), *folder.glob("*.[mt]*")):
        if file.name not in ("config.json", "generation_config.json"):
            file.unlink()
    for file in folder.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(UserError, match=r"processor's files of .* are unknown"):
        checkpoint_files(str(folder))


def append(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"#")


def test_each_file_of_the_code_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in (hybrid, bench):
        source = Path(package.__file__ or "").parent
        for file in source.rglob("*.py"):
            copy = tmp_path / source.name / file.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, copy)
        monkeypatch.setattr(package, "__file__", str(tmp_path / source.name / "__init__.py"))
    before = code_files()
    ours = [f"bench/{name}" for name in ANSWERING]
    ours += [p.relative_to(tmp_path).as_posix() for p in (tmp_path / "hybrid").rglob("*.py")]
    assert sorted(before) == sorted(ours) and len(ours) > 15
    for name in ours:
        append(tmp_path / name)
        now = code_files()
        assert [n for n in before if now[n] != before[n]] == [name]
        before = now
    append(tmp_path / "bench" / "report" / "demo.py")
    assert code_files() == before


def infer(checkpoint: Checkpoint, work_dir: Path, *, reuse: bool, arm: str = "hybrid") -> Path:
    options = Options(work_dir, reuse, False, limit=1, batch_size=4)
    task = open_task("tiny-mmbench", options)
    return infer_only(checkpoint, Job(PROFILE, arm, KEEP, task, options))[0]


@pytest.mark.parametrize("name", ["config.json", "generation_config.json", "tokenizer.json"])
def test_a_run_of_another_checkpoint_is_not_continued(
    checkpoint: Checkpoint, tmp_path: Path, name: str
) -> None:
    infer(checkpoint, tmp_path, reuse=False)
    infer(checkpoint, tmp_path, reuse=True)
    other = replace(checkpoint, files={**checkpoint.files, name: "sha256:0"})
    with pytest.raises(UserError, match=rf"another checkpoint\.{name} \(sha256:.*, now sha256:0\)"):
        infer(other, tmp_path, reuse=True)
    assert {"device", "code", "versions"} <= set(IDENTITY)


@pytest.mark.parametrize("name", [FILE, "margins.jsonl"])
@pytest.mark.parametrize("how", ["less the last line", "torn", "gone", "one more"])
def test_what_was_sealed_is_not_continued_once_it_changed(
    checkpoint: Checkpoint, tmp_path: Path, name: str, how: str
) -> None:
    file = infer(checkpoint, tmp_path, reuse=False) / name
    whole = file.read_bytes()
    changed = {
        "less the last line": b"".join(whole.splitlines(keepends=True)[:-1]),
        "torn": whole[:-5],
        "gone": None,
        "one more": whole + b"{",
    }[how]
    file.unlink() if changed is None else file.write_bytes(changed)
    with pytest.raises(UserError, match=f"{name} is not what the run wrote"):
        infer(checkpoint, tmp_path, reuse=True)
    assert (file.read_bytes() if file.exists() else None) == changed
    (file.parent / SEAL).write_text("rubbish\n")
    with pytest.raises(UserError, match=f"{SEAL} is damaged"):
        infer(checkpoint, tmp_path, reuse=True)


def test_a_finished_run_is_kept_however_often_reuse_is_forgotten(
    checkpoint: Checkpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = infer(checkpoint, tmp_path, reuse=False)
    whole = (folder / FILE).read_bytes()
    assert "earlier run" not in capsys.readouterr().out
    for number in ("", "-2", "-3"):
        set_aside(folder)
        folder.mkdir()
        (folder / FILE).write_text(line(1, "unfinished"))
        assert folder.with_name(f"{folder.name}.previous{number}").is_dir()
    assert (folder.with_name(f"{folder.name}.previous") / FILE).read_bytes() == whole
    infer(checkpoint, tmp_path, reuse=False)
    assert f"note: the earlier run is kept in {folder}.previous-4\n" in capsys.readouterr().out


NONE = ("", ".", "..", "a/b", "/a", "a\\b", "a\nb", "a\0b", "-a", ".a", " a", "a\u202eb", "a" * 300)


@pytest.mark.parametrize("name", NONE)
def test_names_that_are_none_make_no_folder(tmp_path: Path, name: str) -> None:
    for model, data in ((name, "data"), ("model", name)):
        with pytest.raises(UserError, match="name") as raised:
            run_folder(tmp_path, model, data)
        assert "\n" not in str(raised.value)
    assert run_folder(tmp_path, "llava_v1.5_7b", "数据 1") == tmp_path / "llava_v1.5_7b" / "数据 1"
