"""The two torch modes: one sees the spelling of a call, the other the operators it comes down to.

Tensor methods that read are in `entry_points`; a mode alone would miss them inside torch's own
Python functions, which switch the function mode off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch._ops import OpOverload
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from bench.syncs.operators import READ, SHAPE, UPLOAD, Call, operator_name, why_it_waits
from bench.syncs.places import Place
from bench.syncs.watch import Watch

Function = Callable[..., Any]
Handler = Callable[[Watch, Function, tuple[Any, ...], dict[str, Any]], Any]


class OperatorMode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Applies the rules of `operators`, and follows host tensors from call to call."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.watch = watch

    def __torch_dispatch__(
        self, func: OpOverload, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        places = self.watch.places
        why = None if self.watch.quiet else why_it_waits(func, args, kwargs, places)
        if why is not None:
            self.watch.wait(operator_name(func), why)
        pinned = places.cpu_plays_device and kwargs.get("pin_memory")
        if pinned:
            kwargs = {**kwargs, "pin_memory": False}
        with self.watch.quietly() if why is not None else nullcontext():
            result = func(*args, **kwargs)
        if pinned:
            places.put(result, Place.PINNED)
        elif func is torch.ops.aten.lift_fresh.default:  # a tensor just made from Python data
            places.put(result, Place.PAGEABLE)
        elif places.mixed and places.cpu_plays_device:
            self._follow(Call(func, args, kwargs), result)
        return result

    def _follow(self, call: Call, result: Any) -> None:
        """What is computed from host tensors alone is a host tensor."""
        places = self.watch.places
        found = [places.of(tensor) for tensor in call.tensors()]
        if found and Place.DEVICE not in found:
            place = found[0] if call.func.is_view else Place.PAGEABLE
            for tensor in _tensors(result):
                places.put(tensor, place)


class SpellingMode(TorchFunctionMode):
    """Handles the few functions whose spelling tells more than their operators."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self.watch = watch

    def __torch_function__(
        self, func: Function, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        handler = _HANDLERS.get(func)
        if handler is None or self.watch.quiet:
            return func(*args, **(kwargs or {}))
        return handler(self.watch, func, args, kwargs or {})


def _from_data(watch: Watch, func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`torch.tensor` and its kin: reads tensors inside the data, uploads if a device is named."""
    data = args[0] if args else kwargs.get("data", kwargs.get("obj"))
    if isinstance(data, torch.Tensor):
        device = kwargs.pop("device", None)
        return func(data if device is None else data.to(device), *args[1:], **kwargs)
    pinned = watch.places.cpu_plays_device and kwargs.get("pin_memory")
    if pinned:
        kwargs = {**kwargs, "pin_memory": False}
    name = f"torch.{func.__name__}"
    for leaf in _tensors(data, deep=True):
        if watch.places.on_device(leaf):
            watch.wait(name, READ)
    with watch.quietly():
        result = func(*args, **kwargs)
    device = kwargs.get("device", args[2] if len(args) > 2 else None)
    if pinned:
        watch.places.put(result, Place.PINNED)
    elif device is not None and watch.places.named(device) is Place.DEVICE:
        if result.numel():
            watch.wait(name, UPLOAD)
        watch.places.put(result, Place.DEVICE)
    return result


def _new_tensor(watch: Watch, func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`x.new_tensor(data)` lands on the device of `x`."""
    result = func(*args, **kwargs)
    place = watch.places.of(args[0])
    if place is Place.DEVICE and result.numel():
        watch.wait("Tensor.new_tensor", UPLOAD)
    watch.places.put(result, place)
    return result


def _one_hot(watch: Watch, func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Its CPU version checks values that the CUDA version does not."""
    classes = args[1] if len(args) > 1 else kwargs.get("num_classes", -1)
    if classes == -1 and watch.places.on_device(args[0]):
        watch.wait("one_hot without num_classes", SHAPE)
    return _exempt(watch, func, args, kwargs)


def _exempt(watch: Watch, func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Only the CPU version looks at values."""
    with watch.quietly():
        return func(*args, **kwargs)


_HANDLERS: dict[Function, Handler] = {
    torch.tensor: _from_data,
    torch.as_tensor: _from_data,
    torch.asarray: _from_data,
    torch.Tensor.new_tensor: _new_tensor,
    torch.nn.functional.one_hot: _one_hot,
    torch.quantile: _exempt,
    torch.nanquantile: _exempt,
    torch.Tensor.quantile: _exempt,
    torch.Tensor.nanquantile: _exempt,
}


def _tensors(value: Any, *, deep: bool = False) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for item in value:
            if isinstance(item, torch.Tensor) or (deep and isinstance(item, Sequence)):
                yield from _tensors(item, deep=deep)
