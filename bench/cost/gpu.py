"""GPUs as a cost model sees them: two rates, and what it takes to start a kernel."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.base.errors import UserError
from bench.base.reading import read_toml
from bench.cost.roofline import Ceiling

FILE = Path(__file__).parent / "gpus.toml"
SETTINGS = ("tflops", "bandwidth_gb_s", "eager_launch_us", "graphed_launch_us")


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """eager_launch_s, graphed_launch_s: seconds an operator costs, beside its own work."""

    ceiling: Ceiling
    eager_launch_s: float
    graphed_launch_s: float


def load_gpu(source: str) -> Gpu:
    """A GPU of `gpus.toml` by name, or the one that a file of the same form describes.

    Raises:
        UserError: for another name, or a file that lacks, misspells or garbles a setting.
    """
    if source.endswith(".toml"):
        tables = _tables(Path(source))
        if len(tables) != 1:
            raise UserError(f"{source} describes {len(tables)} GPUs: give a file with one table")
        ((name, table),) = tables.items()
        return _gpu(name, table, Path(source))
    known = _tables(FILE)
    if source not in known:
        raise UserError(
            f"no GPU {source!r}: choose one of {', '.join(known)}, or give a .toml file like {FILE}"
        )
    return _gpu(source, known[source], FILE)


def known_gpu(device_name: str) -> Gpu | None:
    """The GPU of `gpus.toml` that a driver calls `device_name`, "NVIDIA H100 80GB HBM3"."""
    for name in _tables(FILE):
        if name in device_name.lower():
            return load_gpu(name)
    return None


def _tables(path: Path) -> Mapping[str, Any]:
    return read_toml(path, mend=f"write one like {FILE}")


def _gpu(name: str, table: Any, path: Path) -> Gpu:
    if not isinstance(table, dict) or set(table) != set(SETTINGS):
        raise UserError(f"{path}: [{name}] needs {', '.join(SETTINGS)} and nothing else")
    for setting, value in table.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (number and math.isfinite(value) and value > 0):
            raise UserError(f"{path}: {setting} of [{name}] is {value!r}: give a positive number")
    ceiling = Ceiling(
        name=name, flops_per_s=table["tflops"] * 1e12, bytes_per_s=table["bandwidth_gb_s"] * 1e9
    )
    return Gpu(
        ceiling=ceiling,
        eager_launch_s=table["eager_launch_us"] * 1e-6,
        graphed_launch_s=table["graphed_launch_us"] * 1e-6,
    )
