"""Profiles: one file says model, data, reduction and gates; `docs/profiles.md` lists its keys."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.arms.profiles.paths import resolved
from bench.arms.profiles.reading import parse, read_document
from bench.arms.profiles.settings import (
    DTYPES,
    PACKAGES,
    CaptionGate,
    Data,
    LatencyGate,
    ModelProfile,
    ProfileFile,
    QualityGate,
    QuestionGate,
    Reduction,
)
from bench.arms.profiles.thresholds import THRESHOLDS, load_thresholds
from bench.base.errors import UserError
from bench.base.home import expanded
from bench.tasks.task import Kind

__all__ = [
    "DTYPES",
    "FOLDER",
    "PACKAGES",
    "TASKS",
    "THRESHOLDS",
    "CaptionGate",
    "Data",
    "LatencyGate",
    "ModelProfile",
    "Profile",
    "QualityGate",
    "QuestionGate",
    "Reduction",
    "hybrid_of",
    "load_profile",
    "load_thresholds",
    "names",
    "profile_in",
    "profile_of_model",
]

FOLDER = Path(__file__).parent
TASKS: Mapping[Kind, str] = {"mmbench": "multiple choice", "coco": "captions"}


@dataclass(frozen=True)
class Profile:
    """All of one profile file; a gate that it does not ask for is None."""

    name: str
    model: ModelProfile
    reduction: Reduction
    data: Data
    mmbench: QuestionGate | None
    coco: CaptionGate | None
    latency: LatencyGate | None

    @property
    def timing(self) -> LatencyGate:
        """Raises UserError if the profile does not ask for latency."""
        if self.latency is None:
            raise UserError(
                f"profile {self.name} says nothing of latency: give it [gates.latency] with"
                " new_tokens and budget_s, and bounds such as [gates.latency.batch-8.hybrid] with"
                " answer = 1.0"
            )
        return self.latency

    @property
    def prompts(self) -> str:
        """The data that is timed and shown: multiple choice, or else captions.

        Raises UserError if the profile names no data.
        """
        found = self.data.mmbench or self.data.coco
        if found is None:
            raise UserError(
                f"profile {self.name} names no data: give it mmbench or coco under [data]"
            )
        return found

    @property
    def judged(self) -> dict[Kind, str]:
        """Kind -> data of what the accuracy gate is asked for.

        Raises UserError if that is nothing.
        """
        gates: dict[Kind, QualityGate | None] = {"mmbench": self.mmbench, "coco": self.coco}
        found = {kind: self.data_of(kind) for kind, gate in gates.items() if gate is not None}
        if not found:
            raise UserError(
                f"profile {self.name} asks for no accuracy gate: give it [gates.mmbench] or"
                " [gates.coco], each with margin and floor"
            )
        return found

    def data_of(self, kind: Kind) -> str:
        """Raises UserError if the profile names none of this kind."""
        found = self.data.mmbench if kind == "mmbench" else self.data.coco
        if found is None:
            raise UserError(
                f"profile {self.name} names no data for {TASKS[kind]}: give it {kind} under [data]"
            )
        return found

    def in_dtype(self, dtype: str | None) -> "Profile":
        """The same in another element type; as it is for None.

        Raises:
            UserError: if it is none of DTYPES.
        """
        if dtype is None:
            return self
        if dtype not in DTYPES:
            raise UserError(f"no dtype {dtype!r}: choose one of {', '.join(DTYPES)}")
        return replace(self, model=replace(self.model, dtype=dtype))

    def on_all_data(self) -> "Profile":
        """The same without subsets."""
        return replace(self, data=replace(self.data, mmbench_subset=None, coco_subset=None))


def names() -> list[str]:
    """Profiles that ship with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load_profile(name: str, thresholds: str | None = None) -> Profile:
    """Read a shipped profile by name, or any file that ends in .toml.

    Paths in a file are relative to its own folder.

    Args:
        name: of the profile or its file.
        thresholds: a preset or a file that comes before what the profile says.

    Raises:
        UserError: if there is no such profile, or a setting in the file is missing, unknown or
            wrong.
    """
    if name in names():
        path = FOLDER / f"{name}.toml"
    elif name.endswith(".toml"):
        path = expanded(name)
    else:
        raise UserError(
            f"no profile {name!r}: choose one of {', '.join(names())}, or give a .toml file"
        )
    return profile_in(read_document(path), path, thresholds)


def profile_in(document: dict[str, Any], path: Path, thresholds: str | None = None) -> Profile:
    """The profile whose tables a file at `path` holds, or would hold; see `load_profile`."""
    settings = parse(document, path)
    _demand_data(settings, path)
    settings = resolved(settings, path)
    gates, reduction = settings.gates, settings.reduction
    if thresholds is not None:
        reduction = replace(reduction, thresholds=load_thresholds(thresholds))
    return Profile(
        settings.name,
        settings.model,
        reduction,
        settings.data,
        gates.mmbench,
        gates.coco,
        gates.latency,
    )


def hybrid_of(profile: str | None) -> str:
    """The name of the hybrid of a profile; the embedded one's for None."""
    return f"{load_profile(profile or 'tiny').model.names}_hybrid"


def profile_of_model(model: str, profile: str | None = None) -> tuple[str, str]:
    """Split a model name into its profile's name and its arm: tiny_hybrid -> tiny, hybrid.

    A name without an arm is the dense model.

    Args:
        profile: the only one whose models are meant, such as a user's file; else a shipped one.
    """
    among = names() if profile is None else [profile]
    prefixes = {each: load_profile(each).model.names for each in among}
    for each, prefix in prefixes.items():
        if model == prefix:
            return each, "dense"
        if model.startswith(prefix + "_"):
            return each, model.removeprefix(prefix + "_")
    hint = "" if profile else "; a model of your own needs --profile with its .toml file"
    start = " or ".join(prefixes.values())
    where = f" in {profile}" if profile else ""
    raise UserError(f"no model {model!r}{where}: names start with {start}{hint}")


def _demand_data(settings: ProfileFile, path: Path) -> None:
    """Raises UserError for a gate or a subset of data that the file does not name."""
    data, gates = settings.data, settings.gates
    for key, source, of_it in (
        ("gates.mmbench", data.mmbench, gates.mmbench),
        ("data.mmbench_subset", data.mmbench, data.mmbench_subset),
        ("gates.coco", data.coco, gates.coco),
        ("data.coco_subset", data.coco, data.coco_subset),
    ):
        if of_it is not None and source is None:
            data_key = "data.mmbench" if "mmbench" in key else "data.coco"
            raise UserError(f"{path}: {key} is about {data_key}, which is missing: name both")
