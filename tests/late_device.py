"""A device that is behind the host, played: what is queued on it happens when it gets there."""

from collections import deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

import hybrid.stopping


class LateDevice:
    """Finishes the work behind a flag once `late` more flags have been posted, or the host idles.

    Attributes:
        naps: how often the host idled.
        most: the most flags that were under way: posted, and not yet read by the host.
    """

    def __init__(self, late: int) -> None:
        self.late = late
        self.queue: deque[Callable[[], object]] = deque()
        self.posted = self.arrived = self.naps = self.most = 0
        self.unread: deque[int] = deque()  # ring places, oldest first

    def advance(self) -> None:
        if self.queue:
            self.queue.popleft()()
            self.arrived += 1

    def sleep(self, seconds: float) -> None:
        assert 0 < seconds < 1e-3
        self.naps += 1
        self.advance()

    def post(self, flags: Tensor, place: int, value: Tensor) -> None:
        assert place not in self.unread, "a flag is overwritten that the host has not read"
        self.unread.append(place)
        self.most = max(self.most, len(self.unread))
        known = bool(value)  # in the order of the stream
        self.queue.append(lambda: flags[place].fill_(known))
        self.posted += 1
        while self.posted - self.arrived > self.late:
            self.advance()

    def event(self) -> Any:
        """Of the flag that was posted last; a host that waits for it finds no way to."""
        number = self.posted + 1

        def record() -> None:
            nonlocal number
            number = self.posted

        def query() -> bool:
            passed = self.arrived >= number
            if passed:
                self.unread.popleft()
            return passed

        return SimpleNamespace(record=record, query=query)


class _Flags:
    """Pinned memory of the host that the device writes to."""

    def __init__(self, device: LateDevice, size: int) -> None:
        self.device, self.tensor = device, torch.zeros(size, dtype=torch.bool)

    def numpy(self) -> Any:
        return self.tensor.numpy()

    def __getitem__(self, place: int) -> Any:
        def copy_(value: Tensor, *, non_blocking: bool) -> None:
            assert non_blocking
            self.device.post(self.tensor, place, value)

        return SimpleNamespace(copy_=copy_)


def play(monkeypatch: pytest.MonkeyPatch, late: int) -> LateDevice:
    """From here on `hybrid.stopping` finds this device behind `cuda`."""
    device = LateDevice(late)

    def zeros(size: int, *, dtype: torch.dtype, pin_memory: bool) -> Any:
        assert pin_memory and dtype is torch.bool
        return _Flags(device, size)

    cuda = SimpleNamespace(Event=device.event)
    monkeypatch.setattr(
        hybrid.stopping, "torch", SimpleNamespace(zeros=zeros, bool=torch.bool, cuda=cuda)
    )
    monkeypatch.setattr(hybrid.stopping, "time", SimpleNamespace(sleep=device.sleep))
    return device
