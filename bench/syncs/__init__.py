"""Where does the host wait for the device? Found with or without a GPU; imports nothing else here.

    with detect_syncs() as report:
        model.generate(inputs)
    print(report.text())

`detect_syncs` needs no GPU: modes and patched methods see each read, each size that depends on
values, each blocking copy (`detector`, `modes`, `operators`, `entry_points`, `places`). `cuda` asks
CUDA itself, `proof` needs no list of ways to wait, `second_opinion` runs on `meta`. What this
project's own gate runs, allows and reads in source code is `bench.gates.sync`.

Not seen without a GPU: waits of other threads, inside compiled graphs and custom kernels, in
`torch.distributed`, and by host code that polls.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.syncs.detector import SyncError, detect_syncs, forbid_syncs
    from bench.syncs.report import Finding, Report
    from bench.syncs.sites import Site
    from bench.syncs.stages import (
        Label,
        label_calls,
        label_rest,
        label_stages,
        prefill_then_decode,
        stage,
    )
    from bench.syncs.watch import unwatched

__all__ = [
    "Finding",
    "Label",
    "Report",
    "Site",
    "SyncError",
    "detect_syncs",
    "forbid_syncs",
    "label_calls",
    "label_rest",
    "label_stages",
    "prefill_then_decode",
    "stage",
    "unwatched",
]
_MODULES = ("detector", "report", "sites", "stages", "watch")


def __getattr__(name: str) -> object:
    """Import on first use: pytest loads `plugin` everywhere, and torch takes seconds."""
    if name in __all__:
        for module in map(import_module, (f"{__name__}.{m}" for m in _MODULES)):
            if hasattr(module, name):
                return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
