"""Where each tensor lives: on the device, in ordinary host memory, or in pinned host memory.

With `device="cpu"` the CPU plays the device: every tensor counts as a device tensor except those
that a GPU run would have on the host, which are followed by name: what the caller declared, what
was made from Python data without a device, what was read back, and what was computed from these
alone. With any other device the tensor's own `device` tells.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from enum import Enum

import torch
from torch.utils.weak import WeakTensorKeyDictionary


class Place(Enum):
    DEVICE = "device"
    PAGEABLE = "pageable host memory"
    PINNED = "pinned host memory"


class Places:
    """A table of tensors to places, which keeps no tensor alive."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.cpu_plays_device = device.type == "cpu"
        self._host: MutableMapping[torch.Tensor, Place] = WeakTensorKeyDictionary()

    def of(self, tensor: torch.Tensor) -> Place:
        if not self.cpu_plays_device and tensor.device.type == self.device.type:
            return Place.DEVICE
        if len(self._host) and tensor in self._host:
            return self._host[tensor]
        if self.cpu_plays_device:
            return Place.DEVICE
        pinned = self.device.type == "cuda" and tensor.is_pinned()
        return Place.PINNED if pinned else Place.PAGEABLE

    def put(self, tensor: torch.Tensor, place: Place) -> None:
        if place is not Place.DEVICE:
            self._host[tensor] = place
        elif tensor in self._host:
            del self._host[tensor]

    def declare_host(self, tensor: torch.Tensor) -> None:
        """The caller's word that a GPU run would keep this tensor in host memory."""
        self.put(tensor, Place.PINNED if tensor.is_pinned() else Place.PAGEABLE)

    def named(self, device: str | int | torch.device) -> Place:
        """Which place a `device=` argument means.

        Where the CPU plays the device, the text "cpu" means the host, since code that runs on
        either writes `x.device`; a `torch.device` object means the device.
        """
        if self.cpu_plays_device:
            host = isinstance(device, str) and device.startswith("cpu")
        else:
            host = torch.device(device).type != self.device.type
        return Place.PAGEABLE if host else Place.DEVICE

    @property
    def mixed(self) -> bool:
        """Whether any tensor at all may be on the host; False lets the hot path skip looking."""
        return not self.cpu_plays_device or len(self._host) > 0

    def on_device(self, tensor: torch.Tensor) -> bool:
        return self.of(tensor) is Place.DEVICE
