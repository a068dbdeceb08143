"""What a profile needs is found out before anything is loaded, all of it at once."""

import json
from pathlib import Path

import pytest

from bench.arms.needs import Need, check_needs, needs_of
from bench.arms.profiles import load_profile
from bench.base.errors import UserError
from bench.tasks.load import lmu_data

REPOSITORY = "llava-hf/llava-1.5-7b-hf"


@pytest.fixture
def empty_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("LMUData", str(tmp_path / "data"))
    return tmp_path


def by_name(needs: list[Need]) -> dict[str, Need]:
    return {need.what: need for need in needs}


def cache(folder: Path, names: list[str], shards: list[str]) -> None:
    """A Hugging Face cache that holds `names`, and an index that lists `shards`."""
    repository = folder / "hub" / f"models--{REPOSITORY.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc")
    snapshot = repository / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    for name in names:
        (snapshot / name).write_text("{}")
    document = {"metadata": {"total_size": 14 << 30}, "weight_map": {s: s for s in shards}}
    (snapshot / "model.safetensors.index.json").write_text(json.dumps(document))


SETTINGS = ["config.json", "tokenizer_config.json", "processor_config.json"]


def test_the_tiny_profile_needs_nothing_but_a_cpu() -> None:
    profile = load_profile("tiny")
    needs = needs_of(profile, profile.judged.values())
    assert [need.what for need in needs] == ["device"]
    check_needs(needs)


def test_everything_missing_is_named_in_one_line_with_its_remedy(empty_disk: Path) -> None:
    profile = load_profile("llava-1.5-7b")
    needs = needs_of(profile, profile.judged.values())
    with pytest.raises(UserError) as error:
        check_needs(needs)
    text = str(error.value)
    assert "\n" not in text
    assert f"hf download {REPOSITORY}" in text
    assert "bench fetch MMBench_DEV_EN" in text
    assert "bench fetch COCO_VAL" in text


def test_weights_are_whole_only_with_every_shard_of_the_index(empty_disk: Path) -> None:
    cache(empty_disk, [*SETTINGS, "one.safetensors"], ["one.safetensors", "two.safetensors"])
    need = by_name(needs_of(load_profile("llava-1.5-7b")))["weights"]
    assert not need.met
    assert "two.safetensors" in need.found


def test_weights_that_are_there_are_found_with_their_size(empty_disk: Path) -> None:
    cache(empty_disk, [*SETTINGS, "one.safetensors"], ["one.safetensors"])
    need = by_name(needs_of(load_profile("llava-1.5-7b")))["weights"]
    assert need.met
    assert "14.0 GiB" in need.found


def test_random_weights_need_no_download(empty_disk: Path) -> None:
    assert "weights" not in by_name(needs_of(load_profile("llava-1.5-7b"), weights=False))


def test_data_that_was_fetched_is_found(empty_disk: Path) -> None:
    (empty_disk / "data" / "MMBench_DEV_EN.tsv").write_bytes(b"index")
    needs = needs_of(load_profile("llava-1.5-7b"), ["MMBench_DEV_EN", "COCO_VAL"])
    met = {need.wanted: need.met for need in needs}
    assert met["MMBench_DEV_EN"]
    assert not met["COCO_VAL"]


def test_a_data_folder_that_is_none_is_an_error_and_not_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LMUData", str(tmp_path / "gone"))
    with pytest.raises(UserError, match=r"LMUData is '.*gone', which is no folder: make it"):
        lmu_data()
    monkeypatch.setenv("LMUData", str(tmp_path))
    assert lmu_data() == tmp_path
    monkeypatch.setenv("LMUData", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert lmu_data() == tmp_path / "LMUData"
