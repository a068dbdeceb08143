"""Counts operators, FLOPs, bytes and live memory of a block of code, best on the `meta` device.

Counting needs no clock, so it catches on any laptop what timing cannot show on a noisy one: one
more launch a layer, a matrix materialised, float32 where half was meant.
"""

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate, rms_norm, scaled_dot_product_attention
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from bench.cost.memory import LiveMemory
from bench.cost.roofline import Work

# Operators that start no kernel although torch does not call them views.
_NO_KERNEL = {
    *("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"),  # reserve memory
    *("_unsafe_view", "_reshape_alias", "lift_fresh"),  # look at memory in another way
}
# Operators that read a part of their input, as large as what they give.
_PICK = {"embedding", "gather", "index", "index_select"}

_ALIGNMENT = 16  # elements that a mask's rows start at multiples of, or CUDA's attention copies it


@dataclass
class Cost:
    """What was done.

    Attributes:
        works: of each operator that starts work on the device, in order; fused attention is one,
            and so is a fused norm.
            FLOPs of matrix products and attention, a multiply-add counts as two; bytes read and
            written, as if nothing stayed in a cache.
        operators: how often each of them ran.
        peak_bytes: most memory of tensors made here and alive at once, without weights, inputs
            and the cache.
        cache_bytes: of keys and values at the end.
    """

    works: list[Work] = field(default_factory=list)
    operators: dict[str, int] = field(default_factory=dict)
    peak_bytes: int = 0
    cache_bytes: int = 0

    @property
    def flops(self) -> int:
        """Of all operators."""
        return sum(int(work.flops) for work in self.works)

    @property
    def weight_bytes(self) -> int:
        """Read of the model's weights."""
        return sum(int(work.weight_bytes) for work in self.works)

    @property
    def bytes_moved(self) -> int:
        """Read and written by all operators, weights included."""
        return self.weight_bytes + sum(int(work.other_bytes) for work in self.works)

    @property
    def launches(self) -> int:
        """Operators that start work on the device."""
        return len(self.works)

    def add(self, operator: str, work: Work) -> None:
        """One launch."""
        self.works.append(work)
        self.operators[operator] = self.operators.get(operator, 0) + 1

    def to_json(self) -> dict[str, Any]:
        """Operators in alphabetical order, so that a diff shows what changed."""
        return {
            **{total: getattr(self, total) for total in TOTALS},
            "operators": dict(sorted(self.operators.items())),
        }


TOTALS = ("flops", "bytes_moved", "weight_bytes", "launches", "peak_bytes", "cache_bytes")


@contextmanager
def counting(
    weights: Iterable[Tensor] = (), cache: Callable[[], Iterable[Tensor]] = lambda: ()
) -> Iterator[Cost]:
    """Count everything that torch runs in the block.

    Args:
        weights: whose bytes are counted apart from all others.
        cache: asked at the end of the block which tensors hold keys and values.
    """
    cost, memory = Cost(), LiveMemory()
    addresses = {tensor.untyped_storage()._cdata for tensor in weights}
    collecting = gc.isenabled()
    gc.disable()  # what a reference cycle keeps alive must not depend on when this runs
    try:
        with _Fused(cost, addresses), _Operators(cost, memory, addresses):
            yield cost
        held = list(cache())
        cost.peak_bytes = memory.peak_bytes(apart=held)
        cost.cache_bytes = sum(tensor.nbytes for tensor in held)
    finally:
        memory.close()
        if collecting:
            gc.enable()


class _Fused(TorchFunctionMode):
    """Counts what is one kernel on a GPU as that, whatever it falls apart into here."""

    def __init__(self, cost: Cost, weights: set[int]) -> None:
        super().__init__()
        self.cost, self.weights = cost, weights

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func is scaled_dot_product_attention:
            return self._attention(*args, **kwargs)
        if func is rms_norm:
            return self._rms_norm(*args, **kwargs)
        if func is interpolate:
            return self._interpolate(*args, **kwargs)
        return func(*args, **kwargs)

    def _add(self, name: str, *tensors: Tensor, flops: int = 0) -> None:
        self.cost.add(name, _work(flops, list(tensors), self.weights))

    def _attention(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        *_: object,
        is_causal: bool = False,
        **__: object,
    ) -> Tensor:
        """And what it makes of its mask, in each call: an additive one, of aligned rows."""
        out = torch.empty_like(query)
        batch, heads, length, width = query.shape
        seen = length * key.shape[2]  # pairs of a query and a key
        if is_causal:
            seen = length * (length + 1) // 2  # fused kernels skip the tiles that see nothing
        flops = 4 * batch * heads * seen * width
        if attn_mask is None:
            self._add("scaled_dot_product_attention", query, key, value, out, flops=flops)
            return out
        if attn_mask.dtype == torch.bool:
            given, attn_mask = attn_mask, torch.empty_like(attn_mask, dtype=query.dtype)
            self._add("scalar_tensor")
            self._add("scalar_tensor")
            self._add("where", given, attn_mask)
        if any(stride % _ALIGNMENT for stride in attn_mask.stride()[:-1]):
            self._add("fill_", attn_mask)
            self._add("copy_", attn_mask, attn_mask)
        name = "scaled_dot_product_attention, masked"
        self._add(name, query, key, value, out, attn_mask, flops=flops)
        return out

    def _rms_norm(
        self, hidden: Tensor, shape: object, weight: Tensor | None = None, eps: float | None = None
    ) -> Tensor:
        out = torch.empty_like(hidden)
        self._add("rms_norm", hidden, out, *([] if weight is None else [weight]))
        return out

    def _interpolate(self, image: Tensor, size: tuple[int, int], **_: object) -> Tensor:
        last = image.is_contiguous(memory_format=torch.channels_last)
        form = torch.channels_last if last else torch.contiguous_format
        shape = (*image.shape[:2], *size)
        out = torch.empty(shape, dtype=image.dtype, device=image.device, memory_format=form)
        self._add("interpolate", image, out)
        return out


class _Operators(TorchDispatchMode):
    """Counts every other operator that starts a kernel."""

    def __init__(self, cost: Cost, memory: LiveMemory, weights: set[int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.cost, self.memory, self.weights = cost, memory, weights

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        with self:  # inference mode hands on compounds, such as linear; count their parts
            out = func.decompose(*args, **kwargs)
        if out is not NotImplemented:
            return out
        self.memory.given((args, kwargs))
        out = func(*args, **kwargs)
        self.memory.made(out)
        name = func.overloadpacket.__name__
        if func.is_view or name in _NO_KERNEL or func.namespace != "aten":
            return out
        flops = _flops(func.overloadpacket, args, kwargs, out)
        self.cost.add(name, _work(flops, _touched(name, args, kwargs, out), self.weights))
        return out


def _flops(packet: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Any) -> int:
    count = flop_registry.get(packet)
    return 0 if count is None else int(count(*args, **kwargs, out_val=out))


def _work(flops: int, tensors: list[Tensor], weights: set[int]) -> Work:
    """Of an operator that reads or writes each of `tensors` once."""
    moved = {True: 0, False: 0}
    for tensor in tensors:
        moved[tensor.untyped_storage()._cdata in weights] += _nbytes(tensor)
    return Work(flops=flops, weight_bytes=moved[True], other_bytes=moved[False])


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
