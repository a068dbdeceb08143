"""A first profile for a checkpoint and data of one's own, as text and checked."""

import json
import os
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import torch

from bench.arms.checkpoint.config import checked_config
from bench.arms.checkpoint.files import demand_safetensors
from bench.arms.families import LLAVA, kind_of
from bench.arms.models import load_processor
from bench.arms.profiles import FOLDER, TASKS, Profile, load_profile, names, profile_in
from bench.base.errors import UserError
from bench.base.home import expanded
from bench.base.shell import shell_line
from bench.tasks import Task, load_task
from bench.tasks.sources.hub import PREFIX
from bench.tasks.task import Kind
from hybrid.families.llava import Llava

LATENCY = """\
# [gates.latency]                    # what `python -m bench latency` asks; uncomment all of it
# new_tokens = 16
# budget_s = 60                      # for each batch size
#
# [gates.latency.batch-1.hybrid]
# answer = 0.9                       # ratio to dense in the same job; below 1 is faster
"""


@dataclass(frozen=True)
class Draft:
    """A profile that is not written yet.

    Attributes:
        text: of the file.
        profile: what `load_profile` will read from it.
        tasks: its data, by kind.
        patches: visual tokens of an image.
    """

    text: str
    profile: Profile
    tasks: dict[Kind, Task]
    patches: int


def draft(checkpoint: str, data: dict[Kind, str], out: Path) -> Draft:
    """The profile for a file at `out`; loads no weights.

    Args:
        checkpoint: a folder, or a Hugging Face id.
        data: by kind: a .tsv file, an `hf:` source, or a known name.

    Raises:
        ConfigError: a LLaVA, but not of LLaVA-1.5's parts.
        UserError: the checkpoint is not here, no LLaVA, or not whole; data that cannot be read or
            are of another kind; or a path that no profile can hold.
    """
    path = str(expanded(checkpoint)) if checkpoint.startswith("~") else checkpoint
    config = checked_config(path)
    kind = kind_of(config)
    if kind.model_type != LLAVA:
        raise UserError(
            f"{path} is a {kind.name}, and init writes profiles of LLaVA-1.5: start from a copy of"
            f" the one of its family in {FOLDER}, and set checkpoint and data"
        )
    demand_safetensors(path)
    Llava.check(config)
    load_processor(path, config)
    tasks = {kind: _readable(kind, source) for kind, source in data.items()}
    vision: Any = config.vision_config
    patches = (vision.image_size // vision.patch_size) ** 2
    folder = out.resolve().parent
    text = "".join(
        [
            *_model(path, folder),
            *_reduction(path, config, patches),
            *_data({kind: in_file(source, folder) for kind, source in data.items()}),
            LATENCY,
        ]
    )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UserError("a path is not UTF-8, which a profile is: rename or link it") from error
    return Draft(text, profile_in(tomllib.loads(text), out), tasks, patches)


def in_file(text: str, folder: Path) -> str:
    """A path of the command line as a file in `folder` names it; a name or an id as it is."""
    path = expanded(text)
    if text.startswith(PREFIX):
        where, colon, rest = text.removeprefix(PREFIX).partition(":")
        return f"{PREFIX}{in_file(where, folder)}{colon}{rest}" if Path(where).is_dir() else text
    if not (path.is_dir() or path.suffix == ".tsv"):
        return text
    # Its last part as it is called, even where that is a link: the name of data is its file's.
    full = path.resolve() if path.name in ("", "..") else path.parent.resolve() / path.name
    relative = os.path.relpath(full, folder)
    return relative if relative.startswith("..") else f"./{relative}"


def _readable(kind: Kind, source: str) -> Task:
    """The data, of the kind that is meant; the first image is opened."""
    task = load_task(str(expanded(source)) if source.startswith("~") else source)
    if task.kind != kind:
        option = "--captions" if task.kind == "coco" else "--data"
        raise UserError(
            f"{source} holds {TASKS[task.kind]}, not {TASKS[kind]}: give it as {option}"
        )
    task.samples[0].image()
    return task


def _model(path: str, folder: Path) -> Iterator[str]:
    cuda = torch.cuda.is_available()
    called = _names(path)
    yield f"""\
# Paths are relative to this file's folder. Every key: docs/profiles.md.
name = "{called}"

[model]
checkpoint = {json.dumps(in_file(path, folder), ensure_ascii=False)}
names = "{called}"  # models: {called} is dense, {called}_hybrid the hybrid
dtype = "{"float16" if cuda else "float32"}"                    # float32, float16 or bfloat16
device = "{"cuda" if cuda else "cpu"}"                       # cpu, or a GPU: cuda, cuda:1
threads = {torch.get_num_threads()}
"""


def _names(path: str) -> str:
    """What its models are called: as the checkpoint is, but not as a shipped profile's."""
    found = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(path).resolve().name).lstrip("._-")[:60] or "own"
    taken = [load_profile(each).model.names for each in names()]
    clash = any(found == each or found.startswith(f"{each}_") for each in taken)
    return f"my-{found}" if clash else found


def _reduction(path: str, config: Any, patches: int) -> Iterator[str]:
    layers = config.text_config.num_hidden_layers
    blocks = config.vision_config.num_hidden_layers
    keep: int | str = max(1, patches // 4) if layers > 1 else json.dumps("none")
    target = max(ceil(patches / (blocks + 1)), patches // 8)
    given = {"--checkpoint": path, "--target": str(target), "--output": "thresholds.json"}
    options = [word for pair in given.items() for word in pair]
    calibrate = shell_line(["python", "-m", "hybrid.calibrate", "IMAGES", *options])
    yield f"""
[reduction]
keep = {keep}                            # of {patches} patches; FASTV_K and --keep come before it
aggregation_layer = {min(2, max(layers - 2, 0))}
# 1.0 merges nothing. Merging needs thresholds of this very tower, from a folder of photographs:
#   {calibrate}
# and then, where that file lies in this folder: thresholds = "thresholds.json"; to make the tower
# faster by it, too: schedule = "thresholds.json"
thresholds = [{", ".join(["1.0"] * blocks)}]
"""


def _data(sources: dict[Kind, str]) -> Iterator[str]:
    yield """
[data]
batch_size = 8
pad_to_square = true                 # as LLaVA and VLMEvalKit do
"""
    for kind, source in sources.items():
        yield f"{kind} = {json.dumps(source, ensure_ascii=False)}\n"
    if "mmbench" in sources:
        yield """
[gates.mmbench]                      # circular accuracy, as a share
margin = 0.05                        # the hybrid may lose this much to dense, paired by question
floor = 0.0                          # and must reach this: raise it, once dense is known
"""
    if "coco" in sources:
        yield """
[gates.coco]                         # CIDEr, where 1.0 is printed as 100 elsewhere
margin = 0.05
floor = 0.0
"""
    yield "\n"
