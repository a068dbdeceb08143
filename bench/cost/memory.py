"""How many bytes of tensors are alive at once, counted from the tensors and not from an allocator.

Every tensor's memory counts from the operator that made it until its last view is gone. What was
there before (weights, inputs, a cache to be read) counts nothing. Python frees a tensor as soon as
nothing names it, so the count is the same at every run and on every device, `meta` included. It
leaves out what only an allocator knows: rounding, and scratch memory inside a kernel.
"""

import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves


class LiveMemory:
    """Told what each operator is given and makes; `close` it, or it watches on."""

    def __init__(self) -> None:
        # Address of a storage -> its number, or None if it was there before.
        self._number: dict[int, int | None] = {}
        self._watched: dict[int, weakref.ref[torch.UntypedStorage]] = {}
        self._events: list[tuple[int, int]] = []  # (number, bytes; negative when freed)
        self._made = 0

    def given(self, values: Any) -> None:
        """What an operator reads: if it was not made here, it was there before."""
        for storage in _storages(values):
            if storage._cdata not in self._number:
                self._watch(storage, None)

    def made(self, values: Any) -> None:
        """What an operator returns: new memory, or a view of memory that is known."""
        for storage in _storages(values):
            if storage._cdata not in self._number and storage.nbytes() > 0:
                self._watch(storage, self._made)
                self._events.append((self._made, storage.nbytes()))
                self._made += 1

    def close(self) -> None:
        """Watch no longer; what is alive now stays alive in the count."""
        self._watched.clear()

    def peak_bytes(self, apart: Iterable[Tensor] = ()) -> int:
        """The most bytes that were alive at once, without the memory behind `apart`."""
        left_out = {self._number.get(storage._cdata) for storage in _storages(list(apart))}
        live = peak = 0
        for number, size in self._events:
            if number not in left_out:
                live += size
                peak = max(peak, live)
        return peak

    def _watch(self, storage: torch.UntypedStorage, number: int | None) -> None:
        address, size = storage._cdata, storage.nbytes()

        def freed(_: object) -> None:
            del self._number[address], self._watched[address]  # the address may be used again
            if number is not None:
                self._events.append((number, -size))

        self._number[address] = number
        self._watched[address] = weakref.ref(storage, freed)


def _storages(values: Any) -> list[torch.UntypedStorage]:
    return [leaf.untyped_storage() for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]
