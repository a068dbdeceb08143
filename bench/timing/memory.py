"""The most memory that one call of an arm holds, weights included."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from bench.cost.memory import LiveMemory
from bench.timing.clock import Clock
from bench.timing.interleave import Arm, Stopwatch


def peak_bytes(arm: Arm, clock: Clock, llava: Any) -> int:
    """Runs `arm` once, untimed, and returns the peak in bytes.

    On CUDA it is `torch.cuda.max_memory_allocated`, everything else in the process included. A
    CPU has no such counter: there it is the weights of `llava`, and of the tensors that the
    operators make the most that are alive at once; scratch memory inside an operator is in neither.
    """
    clock.wait()
    if llava.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        arm(Stopwatch(clock))
        clock.wait()
        return int(torch.cuda.max_memory_allocated())
    live = LiveMemory()
    with _Watched(live):
        arm(Stopwatch(clock))
    live.close()
    kept = {tensor.untyped_storage() for tensor in (*llava.parameters(), *llava.buffers())}
    weights: dict[int, int] = {
        storage.data_ptr(): storage.nbytes() for storage in kept
    }  # shared ones count once
    return sum(weights.values()) + live.peak_bytes()


class _Watched(TorchDispatchMode):
    """Tells a `LiveMemory` of every operator."""

    def __init__(self, live: LiveMemory) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = live

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        self.live.given((args, kwargs))
        out = func(*args, **(kwargs or {}))
        self.live.made(out)
        return out
