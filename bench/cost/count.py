"""Counts operators, FLOPs and bytes of a block of code, best on the `meta` device.

Counting needs no clock, so it catches on any laptop what timing cannot show on a noisy one: one
more launch a layer, a matrix materialised, float32 where half was meant.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

# Operators that start no kernel although torch does not call them views.
_NO_KERNEL = {
    *("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"),  # reserve memory
    *("_unsafe_view", "_reshape_alias", "lift_fresh"),  # look at memory in another way
}
# Operators that read a part of their input, as large as what they give.
_PICK = {"embedding", "gather", "index", "index_select"}


@dataclass
class Cost:
    """What was done.

    Attributes:
        flops: of matrix products and attention; a multiply-add counts as two.
        bytes_moved: read and written by all operators, as if nothing stayed in a cache.
        launches: operators that start work on the device; fused attention is one.
        operators: how often each of them ran.
    """

    flops: int = 0
    bytes_moved: int = 0
    launches: int = 0
    operators: dict[str, int] = field(default_factory=dict)

    def add(self, operator: str, *, flops: int, tensors: list[Tensor]) -> None:
        """One launch that reads or writes each of `tensors` once."""
        self.flops += flops
        self.bytes_moved += sum(_nbytes(t) for t in tensors)
        self.launches += 1
        self.operators[operator] = self.operators.get(operator, 0) + 1

    def to_json(self) -> dict[str, Any]:
        """Operators in alphabetical order, so that a diff shows what changed."""
        return {
            "flops": self.flops,
            "bytes_moved": self.bytes_moved,
            "launches": self.launches,
            "operators": dict(sorted(self.operators.items())),
        }


@contextmanager
def counting() -> Iterator[Cost]:
    """Count everything that torch runs in the block."""
    cost = Cost()
    with _FusedAttention(cost), _Operators(cost):
        yield cost


class _FusedAttention(TorchFunctionMode):
    """Counts attention as the one kernel that it is on a GPU, whatever it falls apart into here."""

    def __init__(self, cost: Cost) -> None:
        super().__init__()
        self.cost = cost

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func is not scaled_dot_product_attention:
            return func(*args, **kwargs)
        query, key, value = args[:3]
        mask = kwargs.get("attn_mask", args[3] if len(args) > 3 else None)
        out: Tensor = torch.empty_like(query)
        batch, heads, length, width = query.shape
        masks = [mask] if mask is not None else []
        self.cost.add(
            "scaled_dot_product_attention" + (", masked" if masks else ""),
            flops=4 * batch * heads * length * key.shape[2] * width,
            tensors=[query, key, value, out, *masks],
        )
        return out


class _Operators(TorchDispatchMode):
    """Counts every other operator that starts a kernel."""

    def __init__(self, cost: Cost) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.cost = cost

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        with self:  # inference mode hands on compounds, such as linear; count their parts
            out = func.decompose(*args, **(kwargs or {}))
        if out is not NotImplemented:
            return out
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if func.is_view or name in _NO_KERNEL or func.namespace != "aten":
            return out
        flops = _flops(func.overloadpacket, args, kwargs or {}, out)
        self.cost.add(name, flops=flops, tensors=_touched(name, args, kwargs, out))
        return out


def _flops(packet: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Any) -> int:
    count = flop_registry.get(packet)
    return 0 if count is None else int(count(*args, **kwargs, out_val=out))


def _touched(name: str, args: tuple[Any, ...], kwargs: Any, out: Any) -> list[Tensor]:
    """What an operator reads and writes: everything given and made, unless it picks out of it."""
    if name in _PICK:
        return [out, out]
    if name == "index_copy_":
        return [args[3], args[3]]
    if name == "index_fill_":
        return [args[2], args[2]]
    given = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
    return given + [t for t in tree_leaves(out) if isinstance(t, Tensor)]


def _nbytes(tensor: Tensor) -> int:
    """Of the memory behind it: an expanded tensor is read once, not once for each copy."""
    elements = 1
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        elements *= size if stride else 1
    return elements * tensor.element_size()
