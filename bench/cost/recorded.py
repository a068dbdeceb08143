"""The recorded costs of each model: compare with what the code costs now, rewrite."""

from collections.abc import Callable, Collection, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.base.errors import UserError
from bench.base.sealed import FOLDER, read_sealed, write_sealed
from bench.cost.count import TOTALS
from bench.cost.models import LLAVA, MODELS, Model
from bench.cost.stages import cost_of

COSTS = FOLDER / "cost"
COMMAND = "python -m bench cost --regen"
PACKAGES = ("torch", "transformers")

Costs = dict[str, dict[str, dict[str, Any]]]
"""Arm -> batch -> stage -> a cost's JSON."""


def path_of(model: Model = LLAVA) -> Path:
    """Of its record."""
    return COSTS / f"{model.name}.json"


def measure(
    progress: Callable[[str], None] = lambda case: None,
    model: Model = LLAVA,
    arms: Collection[str] | None = None,
) -> Costs:
    """Count the cases of `arms`, of all if None; LLaVA-1.5's take half a minute."""
    costs: Costs = {}
    for arm, batch in model.cases:
        if arms is not None and arm not in arms:
            continue
        progress(f"{model.title}, {arm}, batch {batch}")
        costs.setdefault(arm, {})[f"batch-{batch}"] = {
            stage: cost.to_json() for stage, cost in cost_of(arm, batch, model).items()
        }
    return costs


def compare(
    now: Costs, model: Model = LLAVA, only: Mapping[str, Collection[str]] | None = None
) -> dict[str, str]:
    """Each stage that costs something else than recorded -> what changed, in one line.

    only: arm -> the batches of it that were counted; None for all.

    Raises:
        UserError: if there is no record, or it was edited, or it holds for other packages than
            are installed, or for other stages than `now`.
    """
    recorded = load(model)
    if only is not None:
        recorded = {
            arm: {batch: recorded[arm][batch] for batch in batches} for arm, batches in only.items()
        }
    if _names(recorded) != _names(now):
        raise UserError(
            f"{path_of(model)} holds other stages than are counted: `{COMMAND}` and review"
        )
    return {
        f"{arm}, {batch}, {stage}": _changes(recorded[arm][batch][stage], cost)
        for arm, batches in now.items()
        for batch, stages in batches.items()
        for stage, cost in stages.items()
        if recorded[arm][batch][stage] != cost
    }


def load(model: Model = LLAVA) -> Costs:
    """What was recorded.

    Raises:
        UserError: if that is not there, was edited, or holds for other packages.
    """
    document = read_sealed(path_of(model), command=COMMAND)
    ours = {path_of(each) for each in MODELS}
    others = sorted(path.name for path in COSTS.iterdir() if path not in ours)
    if others:
        raise UserError(f"{COSTS} holds {', '.join(others)}, which nothing made: remove it")
    if (other := other_packages(model)) is not None:
        raise UserError(other)
    costs: Costs = document["costs"]
    return costs


def other_packages(model: Model = LLAVA) -> str | None:
    """Why the record does not hold for what is installed; None if it does.

    Raises:
        UserError: if there is no record, or it was edited.
    """
    versions = read_sealed(path_of(model), command=COMMAND)["versions"]
    if versions == _versions():
        return None
    return (
        f"{path_of(model)} was counted with {_named(versions)}, but {_named(_versions())} is"
        " installed: install through constraints.txt"
    )


def rewrite(now: Costs, model: Model = LLAVA) -> None:
    """Store `now`, with the packages that it holds for."""
    document = {"command": COMMAND, "versions": _versions(), "costs": now}
    write_sealed(path_of(model), document, indent=1)


def _changes(before: dict[str, Any], now: dict[str, Any]) -> str:
    totals = [
        f"{name} {before[name]:,} -> {now[name]:,}" for name in TOTALS if before[name] != now[name]
    ]
    old, new = before["operators"], now["operators"]
    operators = [
        f"{name} {old.get(name, 0)} -> {new.get(name, 0)}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name, 0) != new.get(name, 0)
    ]
    return f"{', '.join(totals)} ({', '.join(operators) or 'same operators'})"


def _names(costs: Costs) -> set[tuple[str, str, str]]:
    return {
        (arm, batch, stage)
        for arm, batches in costs.items()
        for batch, stages in batches.items()
        for stage in stages
    }


def _versions() -> dict[str, str]:
    return {package: version(package).partition("+")[0] for package in PACKAGES}


def _named(versions: dict[str, str]) -> str:
    return ", ".join(f"{package} {number}" for package, number in versions.items())
