"""Profiles: one file says model, data, reduction and gates; `tiny.toml` is the one to read."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.errors import UserError
from hybrid.merging import THRESHOLDS_72OUT

DTYPES = ("float32", "float16", "bfloat16")
THRESHOLDS = {"72out": THRESHOLDS_72OUT}
FOLDER = Path(__file__).parent
PACKAGES = Path(__file__).parents[2]


@dataclass(frozen=True)
class ModelProfile:
    """Which checkpoint, and how to run it."""

    checkpoint: str
    names: str
    dtype: str
    device: str
    threads: int

    @property
    def path(self) -> str:
        """The checkpoint's folder if it ships with the packages, else its Hugging Face id."""
        shipped = PACKAGES / self.checkpoint
        return str(shipped) if shipped.is_dir() else self.checkpoint


@dataclass(frozen=True)
class Reduction:
    """The hybrid's defaults; see `hybrid.HybridConfig`."""

    keep: str | int | float
    aggregation_layer: int
    thresholds: tuple[float, ...]
    capacity: int | None


@dataclass(frozen=True)
class Data:
    """Which data sets, and how they are run.

    Attributes:
        pad_to_square: whether images are padded to squares with the processor's mean colour, as
            LLaVA and VLMEvalKit do; transformers' processor alone cuts their long side.
        mmbench_subset, coco_subset: of `bench.subsets`, or files: what the accuracy gate asks of
            them; all if None.
        coco_prompt: what it asks of images, of `bench.tasks.prompts`.
    """

    mmbench: str
    coco: str
    batch_size: int
    max_new_tokens_mmbench: int
    max_new_tokens_coco: int
    pad_to_square: bool
    mmbench_subset: str | None = None
    coco_subset: str | None = None
    coco_prompt: str = "vlmevalkit"


@dataclass(frozen=True)
class QualityGate:
    """What the hybrid may lose, in the score's own unit.

    Attributes:
        margin: against dense of the same job.
        floor: absolute. Of multiple choice, where `reference` says what it was taken from, it is
            on fewer questions what that scored on those.
        reference: of `bench.references`, a recorded run of the hybrid, which it is paired with.
        recorded_margin: what may be lost against what was recorded.
        subset_margin: in place of `margin` where the profile's subset is asked: of fewer samples
            the interval is wider, and a margin inside of it decides nothing.
    """

    margin: float
    floor: float
    reference: str | None = None
    recorded_margin: float = 0.05
    subset_margin: float | None = None

    def margin_of(self, subset: str | None) -> float:
        """The margin for the profile's `subset`, or for all data (None)."""
        if subset is None or self.subset_margin is None:
            return self.margin
        return self.subset_margin


@dataclass(frozen=True)
class QuestionGate(QualityGate):
    """The gate of multiple choice.

    Attributes:
        dense_reference: what dense is paired with.
    """

    dense_reference: str | None = None


@dataclass(frozen=True)
class LatencyGate:
    """What is timed, and the highest acceptable ratios to dense.

    Attributes:
        new_tokens: tokens of a timed answer.
        budget_s: seconds a batch size may take before what is undecided stays UNSURE.
        bounds: batch size -> arm -> stage -> ratio.
        smallest_effect: the share by which two revisions must differ before anyone cares; the
            device's if None (`bench.gates.compared`).
        processes: that each revision runs in, taking turns; each holds the model once.
    """

    new_tokens: int
    budget_s: float
    bounds: Mapping[int, Mapping[str, Mapping[str, float]]]
    smallest_effect: float | None = None
    processes: int = 1


@dataclass(frozen=True)
class Profile:
    """All of one profile file."""

    name: str
    model: ModelProfile
    reduction: Reduction
    data: Data
    mmbench: QuestionGate
    coco: QualityGate
    latency: LatencyGate

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

    Args:
        name: of the profile or its file.
        thresholds: a preset or a file that comes before what the profile says.

    Raises:
        UserError: if there is no such profile, or the file lacks or misspells a setting.
    """
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    if not path.is_file():
        raise UserError(
            f"no profile {name!r}: choose one of {', '.join(names())}, or give a .toml file"
        )
    try:
        document = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path} is not TOML: {error}") from error
    profile = _parse(document, path)
    if thresholds is None:
        return profile
    reduction = replace(profile.reduction, thresholds=load_thresholds(thresholds))
    return replace(profile, reduction=reduction)


def load_thresholds(source: str, folder: Path = Path()) -> tuple[float, ...]:
    """Thresholds by a preset's name (72out), or from a file by `python -m hybrid.calibrate`.

    Raises:
        UserError: if it is neither, or a value in it is not a cosine similarity.
    """
    if source in THRESHOLDS:
        return THRESHOLDS[source]
    try:
        values = json.loads((folder / source).read_text(encoding="utf-8"))["thresholds"]
        thresholds = tuple(float(value) for value in values)
    except OSError as error:
        presets = ", ".join(THRESHOLDS)
        raise UserError(
            f"no thresholds {source!r} ({error.strerror}): give {presets}, or a file that "
            "python -m hybrid.calibrate wrote"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{source} is not a thresholds file: python -m hybrid.calibrate writes one"
        ) from error
    for block, threshold in enumerate(thresholds):
        if not -1.0 <= threshold <= 1.0:  # a NaN fails this too
            raise UserError(
                f"{source}: the threshold of block {block} is {threshold}, "
                "not a cosine similarity in [-1, 1]"
            )
    return thresholds


def profile_of_model(model: str) -> tuple[str, str]:
    """Split a model name into its profile's name and its arm: tiny_hybrid -> tiny, hybrid.

    A name without an arm is the dense model.
    """
    for profile in names():
        prefix = load_profile(profile).model.names
        if model == prefix:
            return profile, "dense"
        if model.startswith(prefix + "_"):
            return profile, model.removeprefix(prefix + "_")
    prefixes = [load_profile(profile).model.names for profile in names()]
    raise UserError(f"no model {model!r}: names start with {' or '.join(prefixes)}")


def _latency_gate(table: Mapping[str, Any]) -> LatencyGate:
    """`[gates.latency.batch-8.hybrid]` holds the bounds of the hybrid arm at batch size 8."""
    bounds = {
        int(name.removeprefix("batch-")): value
        for name, value in table.items()
        if name.startswith("batch-")
    }
    settings = {k: v for k, v in table.items() if not k.startswith("batch-")}
    return LatencyGate(**settings, bounds=bounds)


def _parse(document: Mapping[str, Any], path: Path) -> Profile:
    try:
        reduction = dict(document["reduction"])
        thresholds = reduction["thresholds"]
        reduction["thresholds"] = (
            load_thresholds(thresholds, path.parent)
            if isinstance(thresholds, str)
            else tuple(thresholds)
        )
        reduction.setdefault("capacity", None)
        gates = document["gates"]
        return Profile(
            name=document["name"],
            model=ModelProfile(**document["model"]),
            reduction=Reduction(**reduction),
            data=Data(**document["data"]),
            mmbench=QuestionGate(**gates["mmbench"]),
            coco=QualityGate(**gates["coco"]),
            latency=_latency_gate(gates["latency"]),
        )
    except KeyError as error:
        raise UserError(f"{path} lacks the setting {error}") from error
    except (TypeError, ValueError) as error:  # a dataclass names the missing or unknown setting
        raise UserError(f"{path}: {error}") from error
