"""Tensor methods that hand data to the host, or move it: patched for as long as a watch lasts.

On the CPU these dispatch nothing that would give them away (`.tolist()`, `.numpy()`, `.cpu()`,
`print`), and inside torch's own Python functions the function mode is switched off. A method on
the class is always called, also through `bool()`, `range()`, `f"{t}"` and `in`.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

from bench.syncs.operators import READ, READ_BACK, transfer
from bench.syncs.places import Place
from bench.syncs.watch import Watch, current_watch

Method = Callable[..., Any]

_READS = {
    "item": "Tensor.item",
    "tolist": "Tensor.tolist",
    "numpy": "Tensor.numpy",
    "__array__": "numpy.asarray",
    "__bool__": "bool(tensor)",
    "__int__": "int(tensor)",
    "__float__": "float(tensor)",
    "__complex__": "complex(tensor)",
    "__index__": "tensor as an index",
    "__contains__": "in tensor",
    "__repr__": "repr(tensor)",
    "__format__": "format(tensor)",
}

_BLOCKS = "the host waits here for all that was queued"


def _read(original: Method, operator: str) -> Method:
    @functools.wraps(original)
    def read(self: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        watch = current_watch()
        if watch is None or watch.quiet:
            return original(self, *args, **kwargs)
        if watch.places.on_device(self):
            watch.wait(operator, READ)
        with watch.quietly():
            return original(self, *args, **kwargs)

    return read


def _move(original: Method, operator: str, destination: Callable[..., _Destination]) -> Method:
    @functools.wraps(original)
    def move(self: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        watch = current_watch()
        if watch is None or watch.quiet:
            return original(self, *args, **kwargs)
        target, non_blocking = destination(watch, *args, **kwargs)
        source = watch.places.of(self)
        if target is source and _has_no_gpu(watch, original):
            return self
        if target is None or target is source:
            return original(self, *args, **kwargs)
        why = transfer(source, target, non_blocking=non_blocking)
        if source is Place.DEVICE and target is Place.PAGEABLE and non_blocking:
            why, target = None, Place.PINNED  # torch pins the memory of such a result itself
        if why is not None and self.numel():
            watch.wait(operator, why)
        with watch.quietly():
            moved = _moved(watch, original, self, *args, **kwargs)
        watch.places.put(moved, target)
        return moved

    return move


def _moved(watch: Watch, original: Method, tensor: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
    """The copy that a real transfer would make, also where the CPU plays the device."""
    moved = tensor if _has_no_gpu(watch, original) else original(tensor, *args, **kwargs)
    return tensor.clone() if moved is tensor else moved


def _has_no_gpu(watch: Watch, original: Method) -> bool:
    return (
        watch.places.cpu_plays_device
        and original.__name__ in ("cuda", "pin_memory")
        and not torch.cuda.is_available()
    )


_Destination = tuple[Place | None, bool]


def _to(watch: Watch, *args: Any, **kwargs: Any) -> _Destination:
    target = kwargs.get("device", kwargs.get("other", args[0] if args else None))
    non_blocking = bool(kwargs.get("non_blocking", False))
    if isinstance(target, torch.Tensor):
        return watch.places.of(target), non_blocking or args[2:3] == (True,)
    if isinstance(target, str | int | torch.device):
        position = 1 if len(args) > 1 and isinstance(args[1], bool) else 2
        return watch.places.named(target), non_blocking or args[position : position + 1] == (True,)
    return None, False


def _cpu(watch: Watch, *_args: Any, **_kwargs: Any) -> _Destination:
    return Place.PAGEABLE, False


def _cuda(watch: Watch, *args: Any, non_blocking: bool = False, **_kwargs: Any) -> _Destination:
    return Place.DEVICE, non_blocking or args[1:2] == (True,)


def _type(watch: Watch, dtype: Any = None, *_args: Any, **_kwargs: Any) -> _Destination:
    """`t.type("torch.FloatTensor")` names a type of the CPU, whatever the tensor's device."""
    names_cpu = not isinstance(dtype, torch.dtype | None) and "cuda" not in str(dtype)
    return (Place.PAGEABLE if names_cpu else None), False


def _pin_memory(original: Method) -> Method:
    @functools.wraps(original)
    def pin_memory(self: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        watch = current_watch()
        if watch is None or watch.quiet:
            return original(self, *args, **kwargs)
        with watch.quietly():
            pinned = _moved(watch, original, self, *args, **kwargs)
        watch.places.put(pinned, Place.PINNED)
        return pinned

    return pin_memory


def _save(original: Method) -> Method:
    """Pickling a tensor comes here too, by way of its storage."""

    @functools.wraps(original)
    def save(obj: object, *args: Any, **kwargs: Any) -> Any:
        watch = current_watch()
        if watch is None or watch.quiet:
            return original(obj, *args, **kwargs)
        if any(_is_on_device(watch, leaf) for leaf in tree_leaves(obj)):
            watch.wait("torch.save", READ_BACK)
        with watch.quietly():
            return original(obj, *args, **kwargs)

    return save


def _is_on_device(watch: Watch, leaf: object) -> bool:
    if isinstance(leaf, torch.Tensor):
        return watch.places.on_device(leaf)
    if isinstance(leaf, torch.TypedStorage):
        leaf = leaf._untyped_storage
    return isinstance(leaf, torch.UntypedStorage) and leaf.device.type == watch.places.device.type


def _wait_for_all(original: Method, operator: str) -> Method:
    @functools.wraps(original)
    def synchronize(*args: Any, **kwargs: Any) -> Any:
        watch = current_watch()
        if watch is not None:
            watch.wait(operator, _BLOCKS)
            if watch.places.cpu_plays_device and not torch.cuda.is_available():
                return None
        return original(*args, **kwargs)

    return synchronize


def _patches() -> Iterator[tuple[object, str, Method]]:
    tensor = torch.Tensor
    for name, operator in _READS.items():
        yield tensor, name, _read(getattr(tensor, name), operator)
    for name, destination in (("to", _to), ("cpu", _cpu), ("cuda", _cuda), ("type", _type)):
        yield tensor, name, _move(getattr(tensor, name), f"Tensor.{name}", destination)
    yield tensor, "type_as", _move(tensor.type_as, "Tensor.type_as", _to)
    yield tensor, "pin_memory", _pin_memory(tensor.pin_memory)
    waits: tuple[tuple[Any, str], ...] = (
        (torch.cuda, "torch.cuda.synchronize"),
        (torch.accelerator, "torch.accelerator.synchronize"),
        (torch.cuda.Stream, "torch.cuda.Stream.synchronize"),
        (torch.cuda.Event, "torch.cuda.Event.synchronize"),
    )
    for owner, name in waits:
        yield owner, "synchronize", _wait_for_all(owner.synchronize, name)
    yield torch, "save", _save(torch.save)
    yield torch.cuda, "empty_cache", _wait_for_all(torch.cuda.empty_cache, "torch.cuda.empty_cache")


_lock = threading.Lock()
_users = 0
_undo: list[Callable[[], None]] = []


def _patch(owner: object, name: str, replacement: Method) -> Callable[[], None]:
    """Set an attribute; the result puts back what was there, also if that was inherited."""
    if name in vars(owner):
        before = vars(owner)[name]
        setattr(owner, name, replacement)
        return lambda: setattr(owner, name, before)
    setattr(owner, name, replacement)
    return lambda: delattr(owner, name)


@contextmanager
def patched() -> Iterator[None]:
    """Keep the methods patched; with several threads inside, until the last has left."""
    global _users  # noqa: PLW0603
    with _lock:
        _users += 1
        if _users == 1:
            _undo.extend(_patch(*patch) for patch in list(_patches()))
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                while _undo:
                    _undo.pop()()
