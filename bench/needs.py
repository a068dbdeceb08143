"""What a profile needs before anything is loaded: weights, data, a device and its memory."""

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from huggingface_hub import try_to_load_from_cache

from bench.errors import UserError
from bench.profiles import Profile
from bench.tasks.load import KNOWN, lmu_data

GIB = 1 << 30
WEIGHT_FILES = ("model.safetensors.index.json", "model.safetensors")
FILES = ("config.json", "tokenizer_config.json", "processor_config.json")
# Beside the weights: activations, caches of a batch, and the libraries' own workspaces.
ROOM_BESIDE_WEIGHTS = 1.25


@dataclass(frozen=True)
class Need:
    """One thing that has to be here.

    Attributes:
        what: in a word.
        wanted: how much of it, or which.
        found: what is here instead, or that it is there.
        met: whether that is enough.
        remedy: the command or the sentence that mends it; empty if `met`.
    """

    what: str
    wanted: str
    found: str
    met: bool
    remedy: str = ""


def needs_of(profile: Profile, data: Iterable[str] = (), *, weights: bool = True) -> list[Need]:
    """Everything that a run of `profile` on these data sets needs.

    Args:
        data: data sets by name; files given by path are checked when they are read.
        weights: False where weights are random, so that none need to be here.
    """
    needs = [_device(profile)]
    size = 0
    if weights and not Path(profile.model.path).is_dir():
        found = _weights(profile.model.path)
        needs.append(found[0])
        size = found[1]
    if profile.model.device == "cuda" and torch.cuda.is_available() and size:
        needs.append(_memory(size))
    needs += [_data(name) for name in dict.fromkeys(data) if name in KNOWN and KNOWN[name].url]
    return needs


def check_needs(needs: Sequence[Need]) -> None:
    """Raises UserError that names everything missing, and how to get each."""
    missing = [need for need in needs if not need.met]
    if missing:
        listed = "; ".join(f"{n.what}: {n.wanted} ({n.found}): {n.remedy}" for n in missing)
        raise UserError(f"missing {len(missing)} of {len(needs)} things this needs: {listed}")


def _device(profile: Profile) -> Need:
    device = profile.model.device
    if device == "cpu":
        return Need("device", "cpu", f"{os.cpu_count()} cores", True)
    if torch.cuda.is_available():
        return Need("device", device, torch.cuda.get_device_name(), True)
    remedy = "run it where there is one, or take --profile tiny"
    return Need("device", device, "no CUDA device here", False, remedy)


def _weights(repository: str) -> tuple[Need, int]:
    """The checkpoint in the Hugging Face cache, and its bytes (0 if it is not whole)."""
    remedy = f"hf download {repository}"
    missing = [name for name in FILES if _cached(repository, name) is None]
    index, whole = (_cached(repository, name) for name in WEIGHT_FILES)
    if whole is not None:
        size = whole.stat().st_size
    elif index is not None:
        document = json.loads(index.read_text())
        shards = set(document["weight_map"].values())
        missing += sorted(shard for shard in shards if _cached(repository, shard) is None)
        size = int(document["metadata"]["total_size"])
    else:
        missing.append("its weights")
        size = 0
    if missing:
        found = f"the Hugging Face cache lacks {missing[0]}"
        found += f" and {len(missing) - 1} more files" if len(missing) > 1 else ""
        return Need("weights", repository, found, False, remedy), 0
    return Need("weights", repository, f"{size / GIB:.1f} GiB in the cache", True), size


def _cached(repository: str, name: str) -> Path | None:
    path = try_to_load_from_cache(repository, name)
    return Path(path) if isinstance(path, str) else None


def _memory(weights: int) -> Need:
    free, _ = torch.cuda.mem_get_info()
    wanted = ROOM_BESIDE_WEIGHTS * weights
    met = free >= wanted
    remedy = "" if met else "stop what else runs on the card, or take a larger one"
    wanted_text = f"{wanted / GIB:.1f} GiB free"
    return Need("GPU memory", wanted_text, f"{free / GIB:.1f} GiB free", met, remedy)


def _data(name: str) -> Need:
    path = lmu_data() / f"{name}.tsv"
    if path.is_file():
        size = path.stat().st_size / 1e6
        return Need("data", name, f"{size:.0f} MB, md5 checked when it is read", True)
    return Need("data", name, f"no {path}", False, f"python -m bench fetch {name}")
