"""What an NVIDIA driver says of a GPU: clock, temperature, and why the clock is held back.

Asks the driver's own library, so that no Python package is needed; numbers are those of `nvml.h`.
"""

import ctypes
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_SM_CLOCK, _GPU_TEMPERATURE = 1, 0  # nvmlClockType_t, nvmlTemperatureSensors_t
REASONS = {
    0x04: "power cap",
    0x08: "hardware slowdown",
    0x20: "thermal, software",
    0x40: "thermal, hardware",
    0x80: "power brake",
}
# A card at its power cap is a card at work; these are a card that cannot do what it did before.
SLOWDOWNS = frozenset(REASONS.values()) - {"power cap"}


@dataclass(frozen=True, kw_only=True)
class GpuState:
    """One reading. throttles: names from `REASONS`, empty if the clock runs free."""

    sm_mhz: int
    celsius: int
    throttles: tuple[str, ...]


class Nvml:
    """One GPU's readings.

    Raises OSError if the driver's library is not there, or does not know this GPU.
    """

    def __init__(self, uuid: str, library: Any = None) -> None:
        self._library = library or ctypes.CDLL("libnvidia-ml.so.1")
        self._handle = ctypes.c_void_p()
        self._call("nvmlInit_v2")
        self._call("nvmlDeviceGetHandleByUUID", uuid.encode(), ctypes.byref(self._handle))

    @classmethod
    def of(cls, device: "torch.device") -> "Nvml | None":
        """The readings of a CUDA device; None where there are none to be had."""
        if device.type != "cuda":
            return None
        import torch

        try:
            nvml = cls(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
            nvml.read()
        except (OSError, AttributeError):  # no library, an unknown GPU, or no such reading
            return None
        return nvml

    def read(self) -> GpuState:
        """The state now; some microseconds."""
        mask = ctypes.c_ulonglong()
        self._call("nvmlDeviceGetCurrentClocksThrottleReasons", self._handle, ctypes.byref(mask))
        return GpuState(
            sm_mhz=self._number("nvmlDeviceGetClockInfo", _SM_CLOCK),
            celsius=self._number("nvmlDeviceGetTemperature", _GPU_TEMPERATURE),
            throttles=tuple(name for bit, name in REASONS.items() if mask.value & bit),
        )

    def _number(self, function: str, kind: int) -> int:
        number = ctypes.c_uint()
        self._call(function, self._handle, kind, ctypes.byref(number))
        return number.value

    def _call(self, function: str, *arguments: Any) -> None:
        status = getattr(self._library, function)(*arguments)
        if status != 0:
            raise OSError(f"{function} answered {status}")
