"""Runs the parts within a budget, writes each as it finishes, and shows what was found."""

import gc
import hashlib
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import MofNCompleteColumn

from bench.base.atomic import write_atomically
from bench.base.checkout import imported_packages
from bench.base.errors import UserError
from bench.base.progress import progress
from bench.base.reading import Unreadable, read_object
from bench.base.tables import print_line, print_table
from bench.cost.spending import budgets_in, budgets_json
from bench.gates.gpucheck.parts import Part
from bench.gates.gpucheck.subject import Checked
from bench.gates.gpucheck.targets import COLUMNS, Row, judge
from bench.report.origin import Origin
from bench.report.terminal import COLOURS, print_budgets

BUDGET_S = 520.0  # a part ends with the block that is under way, half a minute later at most
LEAST_S = 20.0  # with less left, a part is not begun
FOLDER = Path("measured")
LATENCY = (
    *("arm", "prefill ms", "/ floor", "decode ms", "/ floor", "tokens/s", "answer ms"),
    *("against dense", "of which"),
)
MEMORY = ("batch", "arm", "peak MiB", "cache MiB")
KERNELS = ("batch", "kernel", "p50 us", "p90 us")


def check(
    checked: Checked,
    parts: Sequence[Part],
    out: Path,
    *,
    origin: Origin,
    weights: str,
    budget_s: float = BUDGET_S,
    afresh: bool = False,
) -> dict[str, Any]:
    """Measure the parts in order, and write `out` behind each of them.

    A part that raises is missing, with its reason, and the others go on; so is what the budget does
    not reach. A budget below what the parts ask for is taken from the elastic ones. What `out`
    holds of the same code, model and machine stays; only what is missing there is measured.

    Args:
        parts: those that are asked for, by default of the caller all.
        afresh: measure all of them, whatever `out` holds.

    Raises:
        UserError: `out` cannot be written.
    """
    config = checked.llava.config
    document: dict[str, Any] = {
        "origin": asdict(origin),
        "code": code_digest(),
        "device": device_name(checked.llava.device),
        "model": {
            "weights": weights,
            "dtype": str(checked.llava.dtype).removeprefix("torch."),
            "parameters": sum(parameter.numel() for parameter in checked.llava.parameters()),
            "layers": config.text_config.num_hidden_layers,
            "attention": config._attn_implementation,
        },
        "budgets": budgets_json(checked.budgets),
        "took_s": {},
        "missing": {},
        "parts": {},
    }
    for key, kept in _earlier(out, document).items():
        document[key] = kept
    wanted = [part for part in parts if afresh or part.name not in document["parts"]]
    for part in wanted:
        document["parts"].pop(part.name, None)
        document["missing"][part.name] = "the check ended before it"
    _write(out, document)  # before anything is measured: a path that cannot be written is found
    shares = _shares(wanted, budget_s)
    ends = time.monotonic() + budget_s
    with progress("gpu-check", len(parts), MofNCompleteColumn()) as bar:
        bar.skip(len(parts) - len(wanted))
        for part in wanted:
            bar.advance(0, now=part.name)
            left, started = ends - time.monotonic(), time.monotonic()
            if left < LEAST_S:
                document["missing"][part.name] = f"no time was left of {budget_s:g} s"
            else:
                _measure(part, checked, min(shares[part.name], left), document)
            took = document["took_s"][part.name] = round(time.monotonic() - started, 1)
            _write(out, document)
            bar.advance()
            bar.say(f"{part.name}: {took} s, {document['missing'].get(part.name, 'measured')}")
    return document


def _earlier(out: Path, document: Mapping[str, Any]) -> dict[str, Any]:
    """What `out` holds of the same measurement; nothing if it holds another one, or none."""
    try:
        before = read_object(out)
        same = all(before[key] == document[key] for key in ("code", "device", "model"))
        same = same and before["origin"]["machine"] == document["origin"]["machine"]
        kept = {key: dict(before[key]) for key in ("parts", "missing", "took_s")}
    except (Unreadable, ValueError, KeyError, TypeError):
        return {}
    return kept if same else {}


def _shares(parts: Sequence[Part], budget_s: float) -> dict[str, float]:
    """Part -> its seconds; what the budget lacks is taken from the elastic ones alike."""
    fixed = sum(part.seconds for part in parts if not part.elastic)
    elastic = sum(part.seconds for part in parts if part.elastic)
    share = min(1.0, max(0.0, budget_s - fixed) / elastic) if elastic else 1.0
    return {part.name: part.seconds * (share if part.elastic else 1.0) for part in parts}


def code_digest() -> str:
    """Of every Python file of `hybrid` and `bench`: whose numbers these are, without git too."""
    digest = hashlib.sha256()
    for package in imported_packages().values():
        for file in sorted(package.rglob("*.py")):
            digest.update(f"{file.relative_to(package.parent)}\0".encode() + file.read_bytes())
    return f"sha256:{digest.hexdigest()}"


def _measure(part: Part, checked: Checked, seconds: float, document: dict[str, Any]) -> None:
    try:
        document["parts"][part.name] = part.run(checked, seconds)
        del document["missing"][part.name]
    except Exception as error:  # whatever stops one part must not cost the others
        reason = " ".join(str(error).split())
        named = reason if isinstance(error, UserError) else f"{type(error).__name__}: {reason}"
        document["missing"][part.name] = named[:300]
    gc.collect()
    if checked.llava.device.type == "cuda":
        torch.cuda.empty_cache()


def device_name(device: torch.device) -> str:
    """As its driver calls it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def results_file(name: str) -> Path:
    """`NVIDIA H100 80GB HBM3` -> `measured/nvidia-h100-80gb-hbm3.json`."""
    return FOLDER / f"{re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')}.json"


def show(document: Mapping[str, Any]) -> list[Row]:
    """Print what was measured and the targets; returns their rows."""
    console = Console()
    model = document["model"]
    for part in document["parts"].values():
        if "arms" in part:
            title = (
                f"{document['device']}: batch {part['batch']}, {part['prompt_tokens']} tokens in,"
                f" {part['new_tokens']} out, {model['dtype']}, {model['weights']} weights"
            )
            cells = [_latency_cells(name, arm, part["batch"]) for name, arm in part["arms"].items()]
            print_table(console, title, LATENCY, cells)
            print_line(console, f"conditions: {part['conditions']}")
            print_line(console, "")
    for name, columns in (("memory", MEMORY), ("kernels", KERNELS)):
        if name in document["parts"]:
            cells = _rows_of(document["parts"][name])
            print_table(console, name, columns, cells)
            print_line(console, "")
    print_budgets(budgets_in(document) or {})
    print_line(console, "")
    rows = judge(document)
    colours = ["bold red" if row.outcome is None else COLOURS[row.outcome] for row in rows]
    cells = [row.cells() for row in rows]
    print_table(console, f"targets, {document['device']}", COLUMNS, cells, colours)
    return rows


def _latency_cells(name: str, arm: Mapping[str, Any], batch: int) -> list[str]:
    stages, against = arm["stages"], arm["against_dense"].get("answer")
    decode = stages["decode"]["p50_ms"]
    gain = arm["gain"].get("answer", {})
    return [
        name,
        f"{stages['prefill']['p50_ms']:.2f}",
        _times_floor(stages["prefill"]),
        f"{decode:.2f}",
        _times_floor(stages["decode"]),
        f"{1e3 * batch / decode:.0f}",
        f"{stages['answer']['p50_ms']:.2f}",
        f"{1 / against['value']:.2f}x faster" if against is not None else "",
        " x ".join(f"{times:.2f} {step}" for step, times in gain.items()),
    ]


def _times_floor(stage: Mapping[str, Any]) -> str:
    """How many times its floor, and which share of the floor's rate that is."""
    if "against_floor" not in stage:
        return "unknown"
    times = stage["against_floor"]["value"]
    return f"{times:.2f}x, {1 / times:.0%}"


def _rows_of(part: Mapping[str, Any]) -> list[list[str]]:
    """Cells of the memory and the kernels part."""
    rows = []
    for batch, measured in part.items():
        for name, numbers in measured.items():
            if "peak_bytes" in numbers:
                cache = numbers["cache_bytes"]
                held = "" if cache is None else f"{cache / 2**20:.0f}"
                cells = [f"{numbers['peak_bytes'] / 2**20:.0f}", held]
            else:
                cells = [f"{numbers['p50_us']:.1f}", f"{numbers['p90_us']:.1f}"]
            rows.append([batch.removeprefix("batch "), name, *cells])
    return rows


def _write(path: Path, document: Mapping[str, Any]) -> None:
    write_atomically(path, (json.dumps(_finite(document), indent=1) + "\n").encode())


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: null."""
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not abs(value) < float("inf") else value
