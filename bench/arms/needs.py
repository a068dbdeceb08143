"""What a profile needs before anything is loaded: weights, data, a device, its memory, minutes."""

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from huggingface_hub import try_to_load_from_cache
from rich.console import Console

from bench.arms.models import DTYPES
from bench.arms.profiles import Profile
from bench.arms.random_weights import (
    GIB,
    ROOM_BESIDE_WEIGHTS,
    free_bytes,
    true_config,
    weight_bytes,
)
from bench.base.errors import UserError
from bench.base.reading import read_object
from bench.tasks.answers import is_whole
from bench.tasks.load import KNOWN, lmu_data
from bench.tasks.subsets import load_subset

WEIGHT_FILES = ("model.safetensors.index.json", "model.safetensors")
FILES = ("config.json", "tokenizer_config.json")
PROCESSOR = ("processor_config.json", "preprocessor_config.json")  # either
# For rough minutes: rows of the real data, tokens of a usual answer, and seconds of a 7B model
# without graphs, whose host is what takes the time: 21.9 ms a token were recorded.
ROWS = {"MMBench_DEV_EN": (4329, 4), "COCO_VAL": (5000, 1)}  # and rows a question or image
USUAL_TOKENS = {"mmbench": 3, "coco": 100}
PREFILL_S, TOKEN_S, LOADING_S = 0.3, 0.022, 60.0


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
    if not weights:
        size = weight_bytes(true_config(profile), DTYPES[profile.model.dtype])
    cuda = torch.device(profile.model.device).type == "cuda"
    if size and (torch.cuda.is_available() or not cuda):
        needs.append(_memory(size, torch.device(profile.model.device)))
    needs += [_data(name) for name in dict.fromkeys(data) if name in KNOWN and KNOWN[name].url]
    return needs


def prepare(
    profile: Profile,
    data: Iterable[str] = (),
    *,
    work_dir: Path,
    weights: bool = True,
    minutes: float | None = None,
) -> None:
    """Stop before anything is loaded if something is missing; on a first run, say what it takes.

    A profile whose checkpoint ships with the packages needs nothing that could be missing.

    Args:
        data, weights: as in `needs_of`.
        work_dir: where there is none yet, this is a first run.
        minutes: roughly, if that is known.

    Raises:
        UserError: naming everything missing.
    """
    if Path(profile.model.path).is_dir():
        return
    needs = needs_of(profile, data, weights=weights)
    check_needs(needs)
    # Only rank 0 looks: another node would remember for a while that there is no such folder.
    if os.environ.get("RANK", "0") != "0" or work_dir.is_dir():
        return
    listed = [f"{need.what} {need.wanted} ({need.found})" for need in needs]
    listed += [f"about {math.ceil(minutes)} minutes"] if minutes is not None else []
    text = f"{profile.name} needs {'; '.join(listed)}"
    Console(stderr=True).print(text, markup=False, highlight=False, soft_wrap=True)


def latency_minutes(batches: int, budget_s: float) -> float:
    """Of a latency gate that spends all of its budget."""
    return (LOADING_S + batches * budget_s) / 60


def quality_minutes(profile: Profile, *, limit: int | None, batch_size: int | None) -> float | None:
    """Of an accuracy gate, both arms; None if the data are not the real ones."""
    seconds = LOADING_S
    data = profile.data
    for name, subset in ((data.mmbench, data.mmbench_subset), (data.coco, data.coco_subset)):
        if name is None:
            continue
        if name not in ROWS:
            return None
        rows, group = ROWS[name]
        asked = [] if subset is None else [len(load_subset(subset))]
        asked += [] if limit is None else [limit]
        rows = min([rows, *(group * count for count in asked)])
        batches = math.ceil(rows / (batch_size or profile.data.batch_size))
        seconds += 2 * batches * (PREFILL_S + TOKEN_S * USUAL_TOKENS[KNOWN[name].kind])
    return seconds / 60


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
    if _is_here(device):
        return Need("device", device, torch.cuda.get_device_name(device), True)
    if torch.cuda.is_available():
        found, remedy = f"{torch.cuda.device_count()} GPUs here", "cuda:0 is the first"
        return Need("device", device, found, False, remedy)
    remedy = "run it where there is one, or take --profile tiny"
    return Need("device", device, "no CUDA device here", False, remedy)


def _is_here(device: str) -> bool:
    index = torch.device(device).index or 0
    return torch.cuda.is_available() and index < torch.cuda.device_count()


def _weights(repository: str) -> tuple[Need, int]:
    """The checkpoint in the Hugging Face cache, and its bytes (0 if it is not whole)."""
    remedy = f"hf download {repository}"
    missing = [name for name in FILES if _cached(repository, name) is None]
    if not any(_cached(repository, name) for name in PROCESSOR):
        missing.append(PROCESSOR[0])
    index, whole = (_cached(repository, name) for name in WEIGHT_FILES)
    if whole is not None:
        size = whole.stat().st_size
    elif index is not None:
        shards, size = _indexed(index, remedy)
        missing += sorted(shard for shard in shards if _cached(repository, shard) is None)
    else:
        missing.append("its weights")
        size = 0
    if missing:
        found = f"the Hugging Face cache lacks {missing[0]}"
        found += f" and {len(missing) - 1} more files" if len(missing) > 1 else ""
        return Need("weights", repository, found, False, remedy), 0
    return Need("weights", repository, f"{size / GIB:.1f} GiB in the cache", True), size


def _indexed(index: Path, remedy: str) -> tuple[set[str], int]:
    """The files that hold the weights, and bytes of all together."""
    document = read_object(index, mend=remedy)
    try:
        shards, size = document["weight_map"].values(), document["metadata"]["total_size"]
        if not (is_whole(size) and all(isinstance(shard, str) for shard in shards)):
            raise TypeError
        return set(shards), size
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{index} is no index of weights: {remedy}") from error


def _cached(repository: str, name: str) -> Path | None:
    path = try_to_load_from_cache(repository, name)
    return Path(path) if isinstance(path, str) else None


def _memory(weights: int, device: torch.device) -> Need:
    free, wanted = free_bytes(device), ROOM_BESIDE_WEIGHTS * weights
    met = free >= wanted
    what = "GPU memory" if device.type == "cuda" else "memory"
    remedy = "" if met else "stop what else runs there, or take a larger one"
    wanted_text = f"{wanted / GIB:.1f} GiB free"
    return Need(what, wanted_text, f"{free / GIB:.1f} GiB free", met, remedy)


def _data(name: str) -> Need:
    path = lmu_data() / f"{name}.tsv"
    if path.is_file():
        size = path.stat().st_size / 1e6
        return Need("data", name, f"{size:.0f} MB, md5 checked when it is read", True)
    return Need("data", name, f"no {path}", False, f"python -m bench fetch {name}")
