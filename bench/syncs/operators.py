"""Which operators make the host wait, and why: the rules that the dispatch mode applies.

PyTorch tags a few operators as data-dependent; the tags miss those that look at values behind the
dispatcher, and accuse integer indexing and `repeat_interleave(output_size=)`, which do not wait.
Each rule below says what the CUDA implementation does, whatever the CPU one may do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

import torch
from torch._ops import OpOverload

from bench.syncs.places import Place, Places

READ = "the host reads the value, so it waits until the device has computed it"
SHAPE = "the size of the result depends on the data, so the host waits to learn it"
MASK = "a boolean mask becomes indices, whose number the host waits to learn"
CHECK = "the host checks the values before it goes on, so it waits for them"
UPLOAD = "a blocking copy to the device; pin the memory and pass non_blocking=True"
HOST_INDEX = "the indices are on the host, and are copied to the device, blocking"
READ_BACK = "a blocking copy to the host; copy into pinned memory with non_blocking=True"
MIXED = "a host tensor meets device tensors; a GPU wants it uploaded first, which blocks"

Rule = Callable[["Call", Places], str | None]


class Call:
    """One operator call, with its arguments by name."""

    def __init__(self, func: OpOverload, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self.func, self.args, self.kwargs = func, args, kwargs

    def __getitem__(self, name: str) -> Any:
        """The argument called `name`, or its default."""
        for position, parameter in enumerate(self.func._schema.arguments):
            if parameter.name == name:
                if position < len(self.args):
                    return self.args[position]
                return self.kwargs.get(name, parameter.default_value)
        raise KeyError(name)

    def tensors(self) -> Iterator[torch.Tensor]:
        """The tensor arguments, also those inside lists."""
        for value in (*self.args, *self.kwargs.values()):
            if isinstance(value, torch.Tensor):
                yield value
            elif isinstance(value, list | tuple):
                yield from (item for item in value if isinstance(item, torch.Tensor))


def _always(why: str) -> Rule:
    def rule(call: Call, places: Places) -> str | None:
        return why if any(map(places.on_device, call.tensors())) else None

    return rule


def _repeat_interleave(call: Call, places: Places) -> str | None:
    return SHAPE if call["output_size"] is None and places.on_device(call["repeats"]) else None


def _index(call: Call, places: Places) -> str | None:
    if not places.on_device(call["self"]):
        return None
    for index in call["indices"]:
        if index is None:
            continue
        is_mask = index.dtype in (torch.bool, torch.uint8)
        if is_mask and places.on_device(index):
            return MASK
        if not is_mask and not places.on_device(index):  # masks go through pinned memory
            return HOST_INDEX
    return None


def _index_put(call: Call, places: Places) -> str | None:
    values = call["values"]
    indices = [index for index in call["indices"] if index is not None]
    is_fill = (  # PyTorch turns this into masked_fill
        len(indices) == 1
        and indices[0].dtype in (torch.bool, torch.uint8)
        and values.numel() == 1
        and not places.on_device(values)
        and not call["accumulate"]
    )
    return None if is_fill else _index(call, places)


def _fill_value(call: Call, places: Places) -> str | None:
    """`masked_fill` and `index_fill` call `.item()` on a value that is a tensor."""
    return READ if places.on_device(call["value"]) else None


def _std(call: Call, places: Places) -> str | None:
    return CHECK if places.on_device(call["std"]) else None


def _histc(call: Call, places: Places) -> str | None:
    return CHECK if call["min"] == call["max"] and places.on_device(call["self"]) else None


def _isin(call: Call, places: Places) -> str | None:
    """Many test elements are searched by sorting what `unique` leaves; few are compared."""
    elements, tests = call["elements"], call["test_elements"]
    few = tests.numel() < int(10 * elements.numel() ** 0.145)
    return SHAPE if not few and not call["assume_unique"] and places.on_device(elements) else None


def _copy(call: Call, places: Places) -> str | None:
    target, source = places.of(call["self"]), places.of(call["src"])
    if not call["src"].numel():
        return None
    return transfer(source, target, non_blocking=bool(call["non_blocking"]))


def transfer(source: Place, target: Place, *, non_blocking: bool) -> str | None:
    """Why a copy between two places waits, or None."""
    if (source is Place.DEVICE) == (target is Place.DEVICE):
        return None
    host = target if source is Place.DEVICE else source
    if host is Place.PINNED and non_blocking:
        return None
    return READ_BACK if source is Place.DEVICE else UPLOAD


_RULES: dict[str, Rule] = {
    "masked_fill.Tensor": _fill_value,
    "masked_fill_.Tensor": _fill_value,
    "index_fill.int_Tensor": _fill_value,
    "index_fill_.int_Tensor": _fill_value,
    "normal.float_Tensor": _std,
    "normal.Tensor_Tensor": _std,
    "isin.Tensor_Tensor": _isin,
    "linspace.Tensor_Tensor": _always(READ),
    "linspace.Tensor_Scalar": _always(READ),
    "linspace.Scalar_Tensor": _always(READ),
    "repeat_interleave.Tensor": _repeat_interleave,
}

_FAMILIES: dict[str, Rule] = {
    "index": _index,
    "index_put": _index_put,
    "index_put_": _index_put,
    "copy_": _copy,
    "histc": _histc,
    "_linalg_check_errors": _always(CHECK),
    "_linalg_svd": _always(CHECK),
    "_linalg_eigh": _always(CHECK),
    "linalg_eig": _always(CHECK),
    "_linalg_eigvals": _always(CHECK),
    "linalg_lstsq": _always(CHECK),
    "linalg_matrix_exp": _always(SHAPE),
    "embedding_renorm_": _always(SHAPE),
    "_ctc_loss": _always(CHECK),
    "is_nonzero": _always(READ),
    "allclose": _always(READ),
    "equal": _always(READ),
    "_to_sparse": _always(SHAPE),
    "_coalesce": _always(SHAPE),
    "_nested_tensor_from_mask_left_aligned": _always(READ),
    "_nested_tensor_from_mask": _always(SHAPE),
}


@cache
def _rule(func: OpOverload) -> Rule | None:
    name = f"{func.overloadpacket.__name__}.{func._overloadname}"
    if func.namespace != "aten":
        return _tagged(func)
    return _RULES.get(name) or _FAMILIES.get(func.overloadpacket.__name__) or _tagged(func)


def _tagged(func: OpOverload) -> Rule | None:
    """What PyTorch's own tags say, also about custom operators."""
    if torch.Tag.data_dependent_output in func.tags:
        return _always(READ)
    return _always(SHAPE) if torch.Tag.dynamic_output_shape in func.tags else None


_MAY_MIX = {"index", "index_put", "index_put_", "copy_", "_pack_padded_sequence", "set_"}


def why_it_waits(
    func: OpOverload, args: tuple[Any, ...], kwargs: Mapping[str, Any], places: Places
) -> str | None:
    """The reason why this call makes the host wait for the device, or None."""
    rule = _rule(func)
    if rule is not None:
        why = rule(Call(func, args, kwargs), places)
        if why is not None:
            return why
    if not places.mixed or func.overloadpacket.__name__ in _MAY_MIX:
        return None
    tensors = list(Call(func, args, kwargs).tensors())
    on_device = [places.on_device(tensor) for tensor in tensors]
    uploads = (t.dim() > 0 and not on for t, on in zip(tensors, on_device, strict=True))
    return MIXED if any(on_device) and any(uploads) else None


def operator_name(func: OpOverload) -> str:
    """`aten.nonzero`, `aten.index_fill.int_Tensor`: without the overload where it says nothing."""
    return str(func).removesuffix(".default")
