"""Records long series of two interleaved arms between which the truth is known.

Each segment is a fresh process: a process lays out its memory once, which can make one of two
equal arms faster for as long as it lives. Segments of all truths take turns, so that all of them
see the same hours of the machine. A recording that was cut off goes on where it stopped.
"""

import json
import math
import os
import platform
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
import transformers
from pydantic import TypeAdapter

from bench.base.atomic import write_atomically
from bench.base.errors import UserError
from bench.base.reading import MEND, Unreadable, read_object
from bench.base.shapes import Count, checked
from bench.timing.clock import clock_for
from bench.timing.interleave import Taken, interleaved_blocks
from bench.trust.gatecheck.planted import Cost, Work, calibrate, planted_arm, tiny_case, work_for
from bench.trust.gatecheck.series import BATCHES, PLANTED, REFERENCE, TRUTHS, Segment

MINUTES = 20.0  # for each truth, both batch sizes together
SEGMENT_S = 100.0
MANIFEST = "manifest.json"


def record(
    folder: Path,
    *,
    command: str,
    minutes: float = MINUTES,
    segment_s: float = SEGMENT_S,
    progress: Callable[[str], None],
) -> None:
    """Records `minutes` or a little more for each truth into `folder`; says each file it wrote.

    Raises UserError if the folder holds a recording of another machine or other versions.
    """
    manifest = _manifest(folder, command)
    rounds = math.ceil(minutes * 60 / segment_s / len(BATCHES))
    for number, batch, truth in product(range(rounds), BATCHES, TRUTHS):
        path = segment_path(folder, batch, truth, number)
        if path.exists():
            continue
        planted = manifest["planted"][str(batch)][truth]
        work = None if planted is None else Work(**planted)
        segment = in_new_process(record_segment, batch, work, segment_s)
        segment.save(path)
        progress(f"{datetime.now(UTC):%H:%M:%S} {path}: {len(segment.end)} blocks")


def segment_path(folder: Path, batch: int, truth: str, number: int) -> Path:
    return folder / f"batch-{batch}" / truth / f"{number:03d}.npz"


def record_segment(batch: int, work: Work | None, seconds: float) -> Segment:
    """Times the hybrid against the hybrid with `work` planted, None: as it is, for `seconds`."""
    case = tiny_case(batch)
    arms = {REFERENCE: planted_arm(case, None), PLANTED: planted_arm(case, work)}
    clock, threads = clock_for(case.llava.device), case.profile.model.threads
    taken: list[Taken] = []
    ends: list[float] = []
    with closing(interleaved_blocks(arms, clock=clock, threads=threads)) as source:
        for block in source:
            taken.append(block)
            ends.append(time.perf_counter())
            if ends[-1] - ends[0] > seconds:
                break
    return Segment.of(taken, ends)


def in_new_process(work: Callable[..., Any], *arguments: object) -> Any:
    """What `work` returns in a process that has done nothing else before."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def _manifest(folder: Path, command: str) -> dict[str, Any]:
    """The recording's own; made, with the calibrated work, if the folder is new."""
    path = folder / MANIFEST
    here = {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
    if os.path.lexists(path):
        manifest = read_manifest(path, mend="give a new folder")
        if manifest["setup"] != here:
            raise UserError(f"{folder} was recorded elsewhere or with others: give a new folder")
        planted = manifest.get("planted", {})
        if any(
            truth not in planted.get(str(batch), {}) for batch, truth in product(BATCHES, TRUTHS)
        ):
            raise UserError(f"{path} does not say what is planted: give a new folder")
        return manifest
    costs: dict[str, dict[str, Cost]] = {
        str(batch): in_new_process(calibrate, batch) for batch in BATCHES
    }
    planted = {
        batch: {
            truth: asdict(work) if (work := work_for(slowdown, cost)) else None
            for truth, slowdown in TRUTHS.items()
        }
        for batch, cost in costs.items()
    }
    manifest = {
        "recorded": f"{datetime.now(UTC):%Y-%m-%d}",
        "command": command,
        "setup": here,
        "profile": "tiny",
        "slower by products": {
            batch: {stage: asdict(cost) for stage, cost in stages.items()}
            for batch, stages in costs.items()
        },
        "planted": planted,
    }
    write_atomically(path, json.dumps(manifest, indent=2).encode())
    return manifest


@dataclass(frozen=True)
class Setup:
    """The machine and what ran on it."""

    cpu: str
    cores: Count | None
    python: str = ""
    torch: str = ""
    transformers: str = ""


@dataclass(frozen=True)
class Manifest:
    """What of a manifest is used. planted: batch size -> truth -> work."""

    recorded: str
    setup: Setup
    planted: Mapping[str, Mapping[str, Work | None]] = field(default_factory=dict)


SHAPE = TypeAdapter(Manifest)


def read_manifest(path: Path, mend: str = MEND) -> dict[str, Any]:
    """A recording's manifest. Raises Unreadable."""
    document = read_object(path, mend=mend)
    try:
        checked(SHAPE, document)
    except ValueError as error:
        raise Unreadable(path, f"is no recording's ({error})", mend) from None
    return document


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
