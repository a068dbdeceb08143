"""Plays CUDA graphs on a CPU: capturing runs nothing that stays, a replay writes into the tensors
of the captured run, and nothing else does."""

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from inspect import getclosurevars
from typing import Any

from torch import Tensor

from hybrid.cache import KVCache
from hybrid.graphs import WARMUP
from hybrid.state import State

Work = Callable[[], None]


class PlayedGraph:
    """work: as `hybrid.graphs.capture` is given it; `state`, a list, is what it shares with others.

    Capturing a prefill makes tensors but no values: they hold NaN until the first replay. Capturing
    a step leaves the state as it is.
    """

    def __init__(self, work: Work) -> None:
        self.work = work
        self.shared: list[State] = getclosurevars(work).nonlocals["state"]
        self.makes_state = work.__name__ == "prefill"
        if self.makes_state:
            work()
            self.state = self.shared[0]
            for tensor in tensors(self.state):
                tensor.fill_(float("nan") if tensor.is_floating_point() else 0)

    def replay(self) -> None:
        self.work()
        if self.makes_state:
            for held, made in zip(tensors(self.state), tensors(self.shared[0]), strict=True):
                held.copy_(made)
            self.shared[0] = self.state


def played_capture(captured: list[PlayedGraph]) -> Callable[..., PlayedGraph]:
    """In place of `hybrid.graphs.capture`: warms up as it does, and lists what it captures."""

    def capture(work: Work, before: Work = lambda: None) -> PlayedGraph:
        for _ in range(WARMUP):
            before()
            work()
        captured.append(PlayedGraph(work))
        return captured[-1]

    return capture


def tensors(value: Any) -> Iterator[Tensor]:
    """All tensors in a state that can be written to; views of one number are the same each time."""
    if isinstance(value, Tensor):
        if 0 not in value.stride() or value.numel() <= 1:
            yield value
    elif isinstance(value, KVCache):
        yield from value.buffers()
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield from tensors(getattr(value, field.name))
    elif isinstance(value, tuple):
        for one in value:
            yield from tensors(one)
