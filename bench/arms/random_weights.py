"""A profile's model at its true shape with random weights, made in place: nothing is downloaded.

Random weights answer nothing, but they cost what trained ones do: latency, cost and waits of the
model can be measured with them. Their prompts are as long as MMBench's.
"""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForImageTextToText

from bench.arms.checkpoint.config import checked_config
from bench.arms.greedy import answer_greedily
from bench.arms.models import DTYPES, demand_aggregation_layer, demand_device
from bench.arms.profiles import Profile
from bench.arms.untrained import config_of
from bench.base.errors import UserError

GIB = 1 << 30
# Beside the weights: activations, caches of a batch, and the libraries' own workspaces.
ROOM_BESIDE_WEIGHTS = 1.25


def true_config(profile: Profile) -> Any:
    """The sizes of the profile's model, known without its checkpoint.

    Raises:
        UserError: they are neither shipped nor those of `bench.arms.untrained.TRUE_SHAPES`.
    """
    path = Path(profile.model.path)
    if path.is_dir():
        return checked_config(str(path))
    return config_of(profile)


def random_llava(config: Any, *, dtype: torch.dtype, device: torch.device) -> Any:
    """transformers' model of any family, in evaluation mode; its answers never end.

    Weights are drawn on `device` in `dtype`, without a copy in float32; the caller's random stream
    is left as it was.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(0)
        with device:
            made: Any = AutoModelForImageTextToText
            llava = made.from_config(config, dtype=dtype)
    llava.generation_config.eos_token_id = None
    return llava.eval()


def random_model(profile: Profile) -> Any:
    """The profile's model with random weights, on its device and in its type.

    Raises:
        UserError: the device is missing, its memory does not suffice, or the profile's reduction
            does not fit the model.
    """
    demand_device(profile)
    config: Any = true_config(profile)
    dtype = DTYPES[profile.model.dtype]
    demand_aggregation_layer(profile, config.text_config.num_hidden_layers)
    device = torch.device(profile.model.device)
    check_room(config, dtype=dtype, device=device)
    torch.set_num_threads(profile.model.threads)
    llava = random_llava(config, dtype=dtype, device=device)
    answer_greedily(llava, profile.model.path)
    llava.generation_config.eos_token_id = None
    return llava


def weight_bytes(config: Any, dtype: torch.dtype) -> int:
    """Of all parameters, without making them."""
    llava = random_llava(config, dtype=dtype, device=torch.device("meta"))
    return sum(parameter.nbytes for parameter in llava.parameters())


def check_room(config: Any, *, dtype: torch.dtype, device: torch.device) -> None:
    """Raises UserError that names the GiB needed, if `device` has less memory free."""
    needed = ROOM_BESIDE_WEIGHTS * weight_bytes(config, dtype)
    free = free_bytes(device)
    if free < needed:
        where = "the GPU" if device.type == "cuda" else "this machine"
        raise UserError(
            f"random weights of this shape need {needed / GIB:.1f} GiB of memory, {where} has"
            f" {free / GIB:.1f} GiB free: stop what else runs, or take a larger one"
        )


def free_bytes(device: torch.device) -> int:
    """Memory that can be taken on `device`; of the host, what the kernel says is available."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    for line in Path("/proc/meminfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    raise UserError("/proc/meminfo does not say how much memory is free: run this on Linux")
