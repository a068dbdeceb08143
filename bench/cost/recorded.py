"""The recorded costs of LLaVA-1.5-7B: compare with what the code costs now, rewrite."""

import json
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any

from bench.cost.stages import ARMS, BATCHES, cost_of
from bench.errors import UserError
from bench.goldens.store import FOLDER
from bench.tasks.atomic import write_atomically

PATH = FOLDER / "cost" / "llava-1.5-7b.json"
COMMAND = "python -m bench cost --regen"
PACKAGES = ("torch", "transformers")

Costs = dict[str, dict[str, dict[str, Any]]]
"""Arm -> batch -> stage -> a cost's JSON."""


def measure(progress: Callable[[str], None] = lambda case: None) -> Costs:
    """Count every arm at every batch size; some seconds."""
    costs: Costs = {}
    for arm in ARMS:
        for batch in BATCHES:
            progress(f"{arm}, batch {batch}")
            stages = cost_of(arm, batch)
            costs.setdefault(arm, {})[f"batch-{batch}"] = {
                stage: cost.to_json() for stage, cost in stages.items()
            }
    return costs


def compare(now: Costs) -> list[str]:
    """One line for each stage that costs something else than recorded.

    Raises:
        UserError: if there is no record, or it holds for other packages than are installed.
    """
    try:
        document = json.loads(PATH.read_text())
        recorded, versions = document["costs"], document["versions"]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{PATH} cannot be read: restore it from git, or `{COMMAND}`") from error
    if versions != _versions():
        raise UserError(
            f"{PATH} was counted with {_named(versions)}, but {_named(_versions())} is installed: "
            "install through constraints.txt"
        )
    if recorded.keys() != now.keys():
        raise UserError(f"{PATH} holds other arms than are counted: `{COMMAND}` and review")
    return [
        line
        for arm, batches in now.items()
        for batch, stages in batches.items()
        for stage, cost in stages.items()
        for line in _changes(f"{arm}, {batch}, {stage}", recorded[arm][batch][stage], cost)
    ]


def rewrite(now: Costs) -> None:
    """Store `now`, with the packages that it holds for."""
    document = {"command": COMMAND, "versions": _versions(), "costs": now}
    write_atomically(PATH, (json.dumps(document, indent=1) + "\n").encode())


def _changes(where: str, before: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    if before == now:
        return
    totals = [
        f"{name} {before[name]:,} -> {now[name]:,}"
        for name in ("flops", "bytes_moved", "launches")
        if before[name] != now[name]
    ]
    old, new = before["operators"], now["operators"]
    operators = [
        f"{name} {old.get(name, 0)} -> {new.get(name, 0)}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name, 0) != new.get(name, 0)
    ]
    yield f"{where}: {', '.join(totals)} ({', '.join(operators) or 'same operators'})"


def _versions() -> dict[str, str]:
    return {package: version(package).partition("+")[0] for package in PACKAGES}


def _named(versions: dict[str, str]) -> str:
    return ", ".join(f"{package} {number}" for package, number in versions.items())
