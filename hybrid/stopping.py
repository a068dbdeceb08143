"""Stop at the end of the answers without ever waiting for the device."""

from typing import Any

import numpy as np
import torch
from torch import Tensor


class EndWatch:
    """Learns, a few tokens late at most, that every sample has ended.

    On CUDA the flag is copied to pinned memory behind the running work and looked at once its
    event has passed; on the CPU there is nothing to be late for.
    """

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        if self._cuda:
            self._flag = torch.zeros(1, dtype=torch.bool, pin_memory=True)
            self._seen = self._flag.numpy()  # the same memory, read without a call into torch
        else:
            self._seen = np.zeros(1, dtype=np.bool_)
            self._flag = torch.from_numpy(self._seen)
        self._event: Any = None  # a torch.cuda.Event once a copy is under way

    def all_ended(self, finished: Tensor) -> bool:
        """Post the newest state of `finished` [B] bool; whether the last one known was all True."""
        if self._event is not None and not self._event.query():
            return False  # the copy posted earlier is still under way
        if bool(self._seen[0]):
            return True
        self._flag.copy_(finished.all()[None], non_blocking=True)
        if self._cuda:
            self._event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._event.record()
            return False
        return bool(self._seen[0])
