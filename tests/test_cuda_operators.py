"""CUDA has a kernel for every operator of the model and its dtypes, by PyTorch's own record.

No GPU is needed for it: PyTorch's operator database says which dtypes each device computes in.
"""

from collections.abc import Iterable
from typing import Any

import pytest
import torch
from torch.testing._internal.common_methods_invocations import op_db
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from hybrid import HybridConfig, Keep, hybridize
from hybrid.methods import METHODS
from tests.llavas import batch, every_config, in_turns, random_llava

# Not in the database: attention, views and copies, bits of integers, a table's rows, and how images
# are made smaller. CUDA has all of these for the dtypes that are listed.
FLOATS = {torch.float32, torch.float16, torch.bfloat16}
INTEGERS = {torch.int64, torch.bool}
BEYOND_THE_DATABASE = {
    "__and__": INTEGERS,
    "__iand__": INTEGERS,
    "__or__": INTEGERS,
    "__rshift__": INTEGERS,
    "__xor__": INTEGERS,
    "_upsample_bicubic2d_aa": FLOATS,
    "adaptive_avg_pool2d": FLOATS,
    "alias": FLOATS | INTEGERS,
    "copy_": FLOATS | INTEGERS,
    "detach_": FLOATS | INTEGERS,
    "embedding": FLOATS,
    "index": FLOATS | INTEGERS,
    "lift_fresh": FLOATS | INTEGERS,
    "scaled_dot_product_attention": FLOATS,
    "one_hot": {torch.int64},
    "silu": FLOATS,
    "upsample_bicubic2d": FLOATS,
    # The database says no to bool: CUDA adds those up as int64, which it says yes to.
    "cumsum": FLOATS | INTEGERS,
}

Call = tuple[str, tuple[str, ...], torch.dtype]


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """The operators that ran, each with its texts (`amax`) and its first tensor's dtype."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: set[Call] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        leaves = tree_leaves((args, kwargs))
        texts = tuple(leaf for leaf in leaves if isinstance(leaf, str))
        for tensor in [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)][:1]:
            self.calls.add((func._opname, texts, tensor.dtype))
        return func(*args, **(kwargs or {}))


def on_cuda(name: str, texts: Iterable[str]) -> set[torch.dtype]:
    """The dtypes that CUDA computes an operator in; raises if nobody wrote that down."""
    if name in BEYOND_THE_DATABASE:
        return BEYOND_THE_DATABASE[name]
    names = {name, name.rstrip("_")}
    found = [op for op in op_db if names & {op.name, op.aten_name, *(a.name for a in op.aliases)}]
    variants = [op for op in found if op.variant_test_name in texts]
    if not found:
        raise LookupError(f"{name} is not in PyTorch's database: say which dtypes CUDA has it in")
    database: list[Any] = variants or found
    return set[torch.dtype]().union(*(op.supported_dtypes("cuda") for op in database))


def missing_on_cuda(calls: Iterable[Call]) -> list[str]:
    """Of calls, those that would fail there."""
    return sorted(
        f"{name} {' '.join(texts)} {dtype}"
        for name, texts, dtype in calls
        if dtype not in on_cuda(name, texts)
    )


@pytest.mark.parametrize("dtype", sorted(FLOATS, key=str))
def test_cuda_has_every_operator_in_its_dtype(dtype: torch.dtype) -> None:
    llava = random_llava().to(dtype)
    recorder = Recorder()
    methods = [HybridConfig(method=(make(Keep(count=9)),)) for make in METHODS.values()]
    for i, config in enumerate([*every_config(), *methods]):
        model = hybridize(llava, config)
        inputs = model.place(**vars(batch(4, in_turns(i))))
        with recorder:
            model.generate_no_sync(inputs, 3)
    assert {"scaled_dot_product_attention", "argsort", "scatter"} <= {c[0] for c in recorder.calls}
    assert missing_on_cuda(recorder.calls) == []


def test_an_operator_that_cuda_lacks_is_named() -> None:
    """Runs on every CPU, fails on every GPU."""
    marks, index = torch.ones(1, 3, dtype=torch.bool), torch.zeros(1, 3, dtype=torch.int64)
    with Recorder() as recorder:
        torch.zeros_like(marks).scatter_reduce(1, index, marks, "amax")
    assert missing_on_cuda(recorder.calls) == ["scatter_reduce amax torch.bool"]
