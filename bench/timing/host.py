"""What this machine's CPU does at best, so that a CPU timing can stand beside a bound."""

import time
from collections.abc import Callable
from functools import partial

import torch

from bench.timing.roofline import Ceiling

MATRIX = 1024  # 2.1 GFLOP a product, 12 MB
# A small model's weights stay in the cache, which is faster than memory. A floor must not count
# on them coming from memory, so the fastest of a cached and an uncached copy is the ceiling.
COPY_BYTES = (1 << 20, 1 << 26)


def measure_host_ceiling(*, threads: int, seconds: float = 0.3) -> Ceiling:
    """Float32 matrix products and copies on `threads` threads, the best of many, in about
    3 * `seconds`. Best, not median: a ceiling is what the machine can do undisturbed.
    """
    threads_before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        left, right = torch.rand(MATRIX, MATRIX), torch.rand(MATRIX, MATRIX)
        product = torch.empty(MATRIX, MATRIX)
        flops = 2 * MATRIX**3 / _best(partial(torch.mm, left, right, out=product), seconds)
        bandwidth = 0.0
        for size in COPY_BYTES:
            source, target = torch.rand(size // 4), torch.empty(size // 4)
            copy_s = _best(partial(target.copy_, source), seconds)
            bandwidth = max(bandwidth, 2 * size / copy_s)  # read once, written once
    finally:
        torch.set_num_threads(threads_before)
    return Ceiling(
        name=f"this CPU, {threads} threads, float32", flops_per_s=flops, bytes_per_s=bandwidth
    )


def _best(work: Callable[[], object], seconds: float) -> float:
    """Shortest of the runs that fit into `seconds`, at least three."""
    best, runs, deadline = float("inf"), 0, time.perf_counter() + seconds
    while runs < 3 or time.perf_counter() < deadline:
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
        runs += 1
    return best
