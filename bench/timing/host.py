"""What this machine's CPU does at best, so that a CPU timing can stand beside a bound."""

import time
from collections.abc import Callable
from functools import partial

import torch

from bench.cost.roofline import Ceiling

MATRICES = (1024, 2048)  # rows: 2.1 and 17 GFLOP a product; which is faster depends on the core
# A small model's weights stay in the cache, which is faster than memory. A floor must not count
# on them coming from memory, so the faster of a cached and an uncached copy is the ceiling. Weights
# that no cache holds come from memory.
CACHED, UNCACHED = 1 << 20, 1 << 28


def measure_host_ceiling(
    *, threads: int, dtype: torch.dtype, weight_bytes: int, seconds: float = 0.3
) -> Ceiling:
    """Matrix products in `dtype` and copies on `threads` threads, the best of many, in about
    4 * `seconds`. Best, not median: a ceiling is what the machine can do undisturbed.
    """
    threads_before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        flops = max(_products(rows, dtype, seconds) for rows in MATRICES)
        sizes = (CACHED, UNCACHED) if weight_bytes < UNCACHED else (UNCACHED,)
        bandwidth = max(_copies(size, seconds) for size in sizes)
    finally:
        torch.set_num_threads(threads_before)
    name = f"this CPU, {threads} threads, {str(dtype).removeprefix('torch.')}"
    return Ceiling(name=name, flops_per_s=flops, bytes_per_s=bandwidth)


def _products(rows: int, dtype: torch.dtype, seconds: float) -> float:
    """FLOP/s."""
    left, right = (torch.rand(rows, rows).to(dtype) for _ in range(2))
    product = torch.empty(rows, rows, dtype=dtype)
    return 2 * rows**3 / _best(partial(torch.mm, left, right, out=product), seconds)


def _copies(size: int, seconds: float) -> float:
    """Bytes/s, read once and written once."""
    source, target = torch.rand(size // 4), torch.empty(size // 4)
    return 2 * size / _best(partial(target.copy_, source), seconds)


def _best(work: Callable[[], object], seconds: float) -> float:
    """Shortest of the runs that fit into `seconds`, at least three."""
    best, runs, deadline = float("inf"), 0, time.perf_counter() + seconds
    while runs < 3 or time.perf_counter() < deadline:
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
        runs += 1
    return best
