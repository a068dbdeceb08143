"""The tiny checkpoint in a folder of its own, with some settings changed."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from bench.arms.models import Checkpoint, load_checkpoint
from bench.arms.profiles import Profile, load_profile
from bench.fixture import dataset

FIXTURE = Path(dataset.__file__).parent
Weights = dict[str, Tensor]


def copy_of_fixture(folder: Path, change: Callable[[Weights], Weights] = dict) -> Path:
    shutil.copytree(FIXTURE / "model", folder)
    if change is not dict:
        weights = load_file(folder / "model.safetensors")
        save_file(change(weights), folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def set_in(file: Path, **settings: Any) -> None:
    """Change settings of a JSON file; `text_config__hidden_size` is one of a part."""
    document = json.loads(file.read_text())
    for name, value in settings.items():
        *parts, last = name.split("__")
        inner = document
        for part in parts:
            inner = inner[part]
        inner[last] = value
    file.write_text(json.dumps(document))


def profile_on(folder: Path, **model: Any) -> Profile:
    """The tiny profile with this checkpoint."""
    profile = load_profile("tiny")
    return replace(profile, model=replace(profile.model, checkpoint=str(folder), **model))


def loaded(folder: Path, **model: Any) -> Checkpoint:
    return load_checkpoint(profile_on(folder, **model))
