"""Timings in the file format of pytest-benchmark 5, so that its `compare` and dashboards read it.

Each stage of each arm is a benchmark, grouped by what should be compared: `batch 8 decode`. The
unit is the second, for `decode` the second a token. Only undisturbed blocks are in it.
"""

import json
import platform
import statistics
from collections.abc import Mapping
from typing import Any

import numpy as np

from bench.base.errors import UserError
from bench.cost.spending import Budgets, budgets_json
from bench.report.origin import Origin
from bench.timing.samples import Samples

NOTHING: Budgets = {}
FORMAT = "5.2.3"  # of pytest-benchmark, whose `version` field tells readers what to expect


def benchmark_json(
    cases: Mapping[str, Samples], origin: Origin, budgets: Budgets = NOTHING
) -> bytes:
    """cases: what all arms were given ("batch 8") -> their timings. budgets: what arms spend, for
    `extra_info`.

    Raises UserError if there are none.
    """
    if not all(samples.blocks for samples in cases.values()):
        raise UserError("no latency samples: measure at least one block")
    spent = budgets_json(budgets)
    document = {
        "machine_info": _machine_info(origin),
        "commit_info": {
            "id": origin.commit or "unknown",
            "time": None,
            "author_time": None,
            "dirty": origin.dirty,
            "project": "vlm-hybrid",
            "branch": "(unknown)",
        },
        "benchmarks": [
            _benchmark(case, arm, stage, samples, spent.get(arm, {}))
            for case, samples in cases.items()
            for arm, (first, _) in samples.blocks[0].items()
            for stage in first
        ],
        "datetime": origin.time,
        "version": FORMAT,
    }
    return json.dumps(document, indent=1, allow_nan=False).encode()


def _benchmark(
    case: str, arm: str, stage: str, samples: Samples, spent: Mapping[str, Any]
) -> dict[str, Any]:
    name = f"latency[{case}-{arm}-{stage}]"
    told = {"budget": spent} if spent else {}
    return {
        "group": f"{case} {stage}",
        "name": name,
        "fullname": f"bench/latency::{name}",
        "params": {"case": case, "arm": arm, "stage": stage},
        "param": f"{case}-{arm}-{stage}",
        "extra_info": {"thrown out": samples.thrown_out, **samples.setup, **told},
        "options": {"timer": samples.setup.get("clock", ""), "warmup": True, "disable_gc": True},
        "stats": _stats([float(s) for s in samples.seconds(arm, stage).flat]),
    }


def _stats(data: list[float]) -> dict[str, Any]:
    """pytest-benchmark's own fields; outliers by Tukey's rule and by one standard deviation."""
    mean, deviation = statistics.mean(data), statistics.stdev(data)
    q1, median, q3 = (float(q) for q in np.quantile(data, [0.25, 0.5, 0.75]))
    iqr = q3 - q1
    inside = [s for s in data if q1 - 1.5 * iqr <= s <= q3 + 1.5 * iqr]
    far = sum(abs(s - mean) > deviation for s in data)
    return {
        "min": min(data),
        "max": max(data),
        "mean": mean,
        "stddev": deviation,
        "rounds": len(data),
        "median": median,
        "iqr": iqr,
        "q1": q1,
        "q3": q3,
        "iqr_outliers": len(data) - len(inside),
        "stddev_outliers": far,
        "outliers": f"{far};{len(data) - len(inside)}",
        "ld15iqr": min(inside),
        "hd15iqr": max(inside),
        "ops": len(data) / sum(data),
        "total": sum(data),
        "iterations": 1,
        "data": data,
    }


def _machine_info(origin: Origin) -> dict[str, Any]:
    build, date = platform.python_build()
    return {
        "node": platform.node(),
        "processor": platform.processor(),
        "machine": platform.machine(),
        "python_compiler": platform.python_compiler(),
        "python_implementation": platform.python_implementation(),
        "python_implementation_version": platform.python_version(),
        "python_version": platform.python_version(),
        "python_build": [build, date],
        "release": platform.release(),
        "system": platform.system(),
        "cpu": dict(origin.machine),
    }
