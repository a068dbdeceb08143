"""Stop at the end of the answers without blocking on the device."""

import time
from collections import deque
from typing import Any

import numpy as np
import torch
from torch import Tensor

AHEAD = 8  # tokens the host may run ahead of what it knows


class EndWatch:
    """Learns, `AHEAD` tokens late at most, that every sample has ended.

    On CUDA each token's flag is copied to pinned memory behind the running work and looked at once
    its event has passed. With `AHEAD` flags under way the host idles until the oldest is in: it
    polls, so nothing is blocked and the device still has work queued. Without that it would have
    queued every token before the first answer ends. On the CPU there is nothing to be late for.
    """

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._posted = 0
        self._events: deque[tuple[Any, int]] = deque()
        if self._cuda:
            self._flags = torch.zeros(AHEAD, dtype=torch.bool, pin_memory=True)
            self._seen = self._flags.numpy()  # sync-ok: the same host memory, not a copy
        else:
            self._seen = np.zeros(AHEAD, dtype=np.bool_)
            self._flags = torch.from_numpy(self._seen)  # sync-ok: only where there is no GPU

    def all_ended(self, finished: Tensor) -> bool:
        """Post the state of `finished` [B] bool; whether all samples are known to have ended."""
        place = self._posted % AHEAD
        self._posted += 1
        self._flags[place].copy_(finished.all(), non_blocking=True)
        if not self._cuda:
            return bool(self._seen[place])
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record()
        self._events.append((event, place))
        ended = False
        while self._events:
            event, place = self._events[0]
            if not event.query():
                if ended or len(self._events) < AHEAD:
                    break
                time.sleep(20e-6)
                continue
            ended = ended or bool(self._seen[place])
            self._events.popleft()
        return ended
