"""Where a report's numbers come from: commit, machine, settings, time.

Written when the gate is measured, so that a report that is looked at later, from another
checkout, still says what it holds for.
"""

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter, with_config

from bench.base.atomic import write_atomically
from bench.base.checkout import git, is_changed
from bench.base.errors import UserError
from bench.base.shapes import checked

SHOWN_SHA = 12


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True, kw_only=True)
class Origin:
    """commit: full sha, None outside of a checkout. dirty: whether files differed from it.
    machine: what timings depend on. settings: profile, keep and the like: what was asked."""

    commit: Annotated[str, Field(pattern="^[0-9a-f]{7,64}$")] | None
    dirty: bool
    time: Annotated[str, Field(max_length=40)]
    machine: Mapping[str, str]
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """A short sha; a + where files differed from it; the day outside of a checkout."""
        if self.commit is None:
            return self.time[:10]
        return self.commit[:7] + ("+" if self.dirty else "")

    @property
    def asked(self) -> str:
        """The settings in words: `keep 36, profile tiny`."""
        return ", ".join(f"{name} {value}" for name, value in sorted(self.settings.items()))


def origin_here(settings: Mapping[str, str]) -> Origin:
    """Of a measurement made now, by this checkout."""
    commit = git("rev-parse", "HEAD")
    return Origin(
        commit=commit,
        dirty=bool(commit and is_changed()),
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=machine_here(),
        settings=dict(settings),
    )


def machine_here() -> dict[str, str]:
    """Processor or GPU, cores and torch: runs that differ in one are not compared."""
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return {
        "cpu": _cpu_name(),
        "cores": str(os.cpu_count()),
        "gpu": device,
        "torch": version("torch"),
    }


def revision(commit: str | None, *, dirty: bool) -> str:
    """Which code was judged, in a few words."""
    if commit is None:
        return f"vlm-hybrid {version('vlm-hybrid')}, outside of a git checkout"
    return f"{commit[:SHOWN_SHA]}{', with changes that are not committed' if dirty else ''}"


def write_origin(path: Path, origin: Origin, budgets: Mapping[str, object]) -> None:
    """budgets: what each arm spends; beside the origin, since they hold for the same numbers."""
    document = asdict(origin) | {"budgets": budgets}
    write_atomically(path, f"{json.dumps(document, indent=2)}\n".encode())


def parse_origin(document: Any, source: str) -> Origin:
    """Of what `write_origin` wrote, without the budgets. Raises UserError, naming `source`, for
    anything else."""
    try:
        origin = checked(TypeAdapter(Origin), document)
        if not origin.machine:
            raise ValueError("it names no machine")
        datetime.fromisoformat(origin.time)
    except ValueError as error:
        raise UserError(
            f"{source}: does not say where the numbers come from ({error}); measure again"
        ) from None
    return origin


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() == "model name" and value.strip():
            return value.strip()
    return platform.processor() or platform.machine()
