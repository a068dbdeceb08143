"""All that a run's answers depend on: written to run.json, and compared before it goes on."""

import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter

import bench
import hybrid
from bench.arms.checkpoint.identity import sha256
from bench.base.checkout import TRUSTED
from bench.base.errors import UserError
from bench.base.reading import Unreadable, read_object
from bench.base.shapes import Count, Number, checked
from bench.cost.spending import Budget
from bench.evaluation.runs.predictions import FILE, RANK_FILES
from bench.tasks.tables.table import shown

RUN_FILE = "run.json"
# What a resumed run must share with the one that it continues. Neither batch size nor threads:
# an answer differs by them within rounding only, as it does between two machines of one kind.
IDENTITY = (
    "model",
    "config",
    "checkpoint",
    "method",
    "data",
    "max_new_tokens",
    "dtype",
    "device",
    "code",
    "versions",
)
LONGEST = 200  # characters of a value in a message
# What scoring must share with the run that answered: neither weights nor code are at hand, but a
# user's own method is.
SCORED_IDENTITY = ("model", "config", "method", "data", "max_new_tokens")
# Of the harness: what turns samples into inputs, and lets the model answer.
ANSWERING = (
    "arms/checkpoint/config.py",
    "arms/families.py",
    "arms/greedy.py",
    "arms/models.py",
    "arms/processor.py",
    "evaluation/runs/answers.py",
    "evaluation/runs/loop.py",
    "evaluation/runs/recording.py",
    "tasks/tables/images.py",
)


@dataclass(frozen=True)
class RunDocument:
    """What of a run.json is used, each where it is there; `RunSpec` says what it means."""

    model: str = ""
    config: Mapping[str, str | Number | bool | list[Number] | None] = field(default_factory=dict)
    checkpoint: Mapping[str, str] = field(default_factory=dict)
    method: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)
    asked: Mapping[str, str] = field(default_factory=dict)
    dtype: str = ""
    device: str = ""
    max_new_tokens: Count = 0
    samples: Count = 0
    answered_before: Count = 0
    started: Number = 0
    budget: Budget | None = None


SHAPE = TypeAdapter(RunDocument)
PACKAGES = ("numpy", "pillow", "tokenizers", "torch", "transformers")


@dataclass(frozen=True)
class RunSpec:
    """What a run's answers depend on; `checkpoint` is its files' digests, unknown to scoring.

    asked: where its data lies and by which prompt it was asked, to find both again; of a method
        also its name and budget. method: the files of a user's own, as `bench.arms.own` says.
    budget: that it spends; no part of its identity, and unknown to scoring.
    """

    model: str
    config: Mapping[str, Any]
    data: Mapping[str, str]
    max_new_tokens: int
    batch_size: int
    dtype: str
    device: str
    checkpoint: Mapping[str, str] = field(default_factory=dict)
    asked: Mapping[str, str] = field(default_factory=dict)
    method: Mapping[str, str] = field(default_factory=dict)
    budget: Budget | None = None

    def document(self) -> dict[str, Any]:
        """For run.json."""
        return {
            "model": self.model,
            "config": dict(self.config),
            "checkpoint": dict(self.checkpoint),
            **({"method": dict(self.method)} if self.method else {}),
            "data": dict(self.data),
            "max_new_tokens": self.max_new_tokens,
            "dtype": self.dtype,
            "code": code_files(),
            "versions": {
                "python": platform.python_version(),
                **{name: version(name) for name in PACKAGES},
                "torch": torch.__version__,  # with its build: +cpu, +cu130
            },
            "asked": dict(self.asked),
            **({} if self.budget is None else {"budget": asdict(self.budget)}),
            "batch_size": self.batch_size,
            "device": self.device,
            "threads": torch.get_num_threads(),
            "seed": None,  # greedy decoding: nothing is drawn
            "git_commit": _git_commit(),
            "environment": {k: os.environ[k] for k in ("FASTV_K", "LMUData") if k in os.environ},
        }


def demand_same(folder: Path, document: Mapping[str, Any], keys: Sequence[str]) -> None:
    """Raises `UserError` unless the run in `folder`, if there is one, agrees in these keys."""
    path = folder / RUN_FILE
    if not os.path.lexists(path):
        answers = [file.name for file in (folder / FILE, *folder.glob(RANK_FILES)) if file.exists()]
        if answers:
            raise UserError(
                f"{folder} holds {answers[0]} but no run.json, so what it answers is unknown: "
                "choose another --work-dir, or run without --reuse"
            )
        return
    found = difference(read_document(path), document, keys)
    if found is not None:
        key, was, now = found
        raise UserError(
            f"{folder} holds a run with another {key} ({was}, now {now}): "
            "choose another --work-dir, or run without --reuse"
        )


def read_document(path: Path) -> dict[str, Any]:
    """A run.json; raises `UserError` if it is none."""
    try:
        return checked_document(path)
    except Unreadable as error:
        reason = f"{path} is damaged (it {error.reason}): run again without --reuse"
        raise UserError(reason) from error


def checked_document(path: Path) -> dict[str, Any]:
    """As it is, once all that `RunDocument` names is what it should be. Raises Unreadable."""
    document = read_object(path)
    try:
        checked(SHAPE, document)
    except ValueError as error:
        raise Unreadable(path, f"is no run's ({error})") from None
    return document


def code_files() -> dict[str, str]:
    """Name -> `sha256:...` of all of `hybrid`, and of what in `bench` answers."""
    packages = {"hybrid": Path(hybrid.__file__).parent, "bench": Path(bench.__file__).parent}
    files = {f"bench/{name}": packages["bench"] / name for name in ANSWERING}
    for file in sorted(packages["hybrid"].rglob("*.py")):
        files[f"hybrid/{file.relative_to(packages['hybrid']).as_posix()}"] = file
    return {name: sha256(file) for name, file in sorted(files.items())}


def difference(
    before: Mapping[str, Any], now: Mapping[str, Any], keys: Sequence[str]
) -> tuple[str, str, str] | None:
    """The first value in which two documents differ: its key, and both in words; None if in none.

    keys: of the documents, what is compared; of values that hold others, all of these are.
    """
    for key in keys:
        was, told = before.get(key), now.get(key)
        if was == told:
            continue
        if isinstance(was, Mapping) and isinstance(told, Mapping):
            inner = difference(was, told, [*told, *was])
            if inner is None:
                continue
            return f"{key}.{inner[0]}", *inner[1:]
        return key, _said(was), _said(told)
    return None


def _said(value: Any) -> str:
    if value is None:
        return "not recorded"
    text = str(value) if isinstance(value, str | int | float) else shown(value)
    return text if text.isprintable() and len(text) <= LONGEST else shown(value)


def _git_commit() -> str | None:
    """The checkout's commit, with a mark if it was changed; None outside of a checkout."""
    here = Path(__file__).parent
    try:
        described = subprocess.run(
            ["git", "-c", TRUSTED, "describe", "--always", "--dirty", "--abbrev=40"],
            cwd=here,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return described.stdout.strip()
