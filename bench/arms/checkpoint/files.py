"""A checkpoint's files, in a folder or in the Hugging Face cache; never from the network."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from huggingface_hub import try_to_load_from_cache
from huggingface_hub.errors import HFValidationError

from bench.base.errors import UserError
from bench.base.reading import read_object

WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json")
ADAPTER = "adapter_config.json"
SHOWN = 3


def find_file(path: str, name: str) -> Path | None:
    """`name` of the checkpoint `path`, a folder or Hugging Face id; None if it is not here."""
    if Path(path).is_dir():
        file = Path(path) / name
        return file if file.is_file() else None
    try:
        cached = try_to_load_from_cache(path, name)
    except HFValidationError:  # neither a folder that exists nor a name on the hub
        return None
    return Path(cached) if isinstance(cached, str) else None


def read_json(path: str, name: str) -> dict[str, Any] | None:
    """What is in it; None if it is not here.

    Raises:
        UserError: naming the file, for what is no JSON object in UTF-8.
    """
    file = find_file(path, name)
    return None if file is None else read_object(file, mend="fetch or write it again")


def demand_safetensors(path: str) -> None:
    """Raises UserError unless its weights are whole, and in the one format that is only data."""
    if find_file(path, ADAPTER):
        raise UserError(
            f"{path} holds {ADAPTER}, weights to be added to a model's: merge them into it"
            " (peft's merge_and_unload) and save the whole model"
        )
    whole, index = WEIGHTS
    if find_file(path, whole):
        return
    if find_file(path, index):
        _demand_shards(path, index)
        return
    if any(find_file(path, name) for name in PICKLED):
        raise UserError(
            f"{path} holds only {PICKLED[0]}, which can run code when it is read: convert it, by"
            " loading it with transformers where you trust it, and save_pretrained(), which writes"
            f" {WEIGHTS[0]}"
        )
    raise UserError(f"cannot load the checkpoint {path}: it holds no {WEIGHTS[0]}")


def _demand_shards(path: str, index: str) -> None:
    """Raises UserError for an index that names a file which is not here, or names none."""
    named = (read_json(path, index) or {}).get("weight_map")
    if not isinstance(named, dict) or not named:
        raise UserError(f"{find_file(path, index)} has no weight_map: fetch or write it again")
    missing = {shard for shard in map(str, named.values()) if find_file(path, shard) is None}
    if missing:
        raise UserError(
            f"cannot load the checkpoint {path}: it lacks {some_of(missing)}, which {index} names:"
            " fetch or copy it whole"
        )


def some_of(names: Iterable[str]) -> str:
    """The first few of them, and how many more there are."""
    listed = sorted(names)
    more = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return ", ".join(listed[:SHOWN]) + more
