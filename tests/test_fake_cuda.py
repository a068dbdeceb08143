"""The whole path on CUDA tensors without a GPU: PyTorch's fake tensors have a device, a dtype and a
shape, and no values. Nothing on it may be a host tensor, and nothing may ask for a value.

Needs a build of torch that knows CUDA, as PyPI's does; CPU builds can't index a CUDA tensor.
"""

from dataclasses import replace
from typing import Any, get_args

import pytest
import torch
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    FakeTensor,
    FakeTensorMode,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from hybrid import HybridConfig, Keep, hybridize
from hybrid.config import Within
from hybrid.inputs import mapped
from hybrid.methods import METHODS
from hybrid.state import State
from tests.families import FAMILIES
from tests.llavas import PATCHES, batch, every_config, random_llava

pytestmark = pytest.mark.skipif(
    torch.version.cuda is None, reason="this build of torch knows no CUDA"
)
CUDA = torch.device("cuda:0")
DTYPES = (torch.float32, torch.float16, torch.bfloat16)


class Devices(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """The devices of all tensors that go in or come out of an operator."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: dict[torch.device, set[str]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves((args, kwargs, out)):
            if isinstance(leaf, torch.Tensor):
                self.seen.setdefault(leaf.device, set()).add(str(func))
        return out


@pytest.fixture
def mode() -> FakeTensorMode:
    return FakeTensorMode(allow_non_fake_inputs=False)


def on_cuda(tensor: torch.Tensor, mode: FakeTensorMode) -> FakeTensor:
    return FakeTensor(mode, torch.empty_like(tensor, device="meta"), CUDA)


def llava_on_cuda(dtype: torch.dtype, mode: FakeTensorMode) -> Any:
    return moved(random_llava().to(dtype), mode)


def moved(model: Any, mode: FakeTensorMode) -> Any:
    for module in model.modules():
        for tensors in (module._parameters, module._buffers):
            for name, tensor in tensors.items():
                if tensor is not None:
                    tensors[name] = on_cuda(tensor, mode)
    return model


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_tensor_stays_on_the_device_and_no_value_is_asked_for(
    dtype: torch.dtype, mode: FakeTensorMode
) -> None:
    llava, given = llava_on_cuda(dtype, mode), batch(4)
    given = replace(given, pixel_values=given.pixel_values.to(dtype))
    placed = {name: on_cuda(tensor, mode) for name, tensor in vars(given).items()}
    for i, config in enumerate(every_config()):
        # No values, so no places of the longest: a batch is masked, or it is not.
        with mode:
            model = hybridize(llava, config)
            padded = (i + DTYPES.index(dtype)) % 2 == 0
            inputs = replace(model.place(**placed), padded=padded)
            with Devices() as devices:
                state = model.prefill(inputs, 3)
                model.select(state)
                model.decode(state)
                model.select(state)
        assert devices.seen.keys() == {CUDA}, devices.seen
        assert (state.logits.dtype, state.logits.device) == (dtype, CUDA)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_stays_on_the_device_with_every_method(
    family: str, mode: FakeTensorMode
) -> None:
    """Several images in a prompt, none, other sizes in a batch; placed on the host, then moved."""
    kind = FAMILIES[family]
    given, small = kind.batch(kind.prompts, None), kind.make(5).half()
    inputs = hybridize(small, HybridConfig()).place(**given)
    inputs = mapped(inputs, lambda tensor: on_cuda(tensor, mode))
    model = moved(small, mode)
    with mode:
        for name, make in METHODS.items():
            if family != "llava" and name in ("tome", "downsample"):
                continue
            for within in get_args(Within):
                config = HybridConfig(method=(make(Keep(count=5)),), within=within)
                hybrid = hybridize(model, config)
                hybrid._count_up_to(inputs.images.placeholders if inputs.images else 0)
                with Devices() as devices:
                    state = hybrid.prefill(inputs, 3)
                    before = shapes(state)
                    for _ in range(2):
                        hybrid.select(state)
                        hybrid.decode(state)
                assert devices.seen.keys() == {CUDA}, (name, devices.seen)
                assert shapes(state) == before, name


def test_every_method_has_shapes_that_the_host_knows_and_decode_leaves_them(
    mode: FakeTensorMode,
) -> None:
    llava, given = llava_on_cuda(torch.float16, mode), batch(4)
    given = replace(given, pixel_values=given.pixel_values.half())
    placed = {name: on_cuda(tensor, mode) for name, tensor in vars(given).items()}
    text = given.input_ids.shape[1] - PATCHES
    for i, (name, make) in enumerate(METHODS.items()):
        with mode:
            model = hybridize(llava, HybridConfig(method=(make(Keep(count=9)),)))
            inputs = replace(model.place(**placed), padded=i % 2 == 0)
            with Devices() as devices:
                state = model.prefill(inputs, 3)
                before = shapes(state)
                for _ in range(2):
                    model.select(state)
                    model.decode(state)
        assert devices.seen.keys() == {CUDA}, (name, devices.seen)
        lengths = [state.cache.prompt_length(layer) - text for layer in range(5)]
        assert lengths == model.layer_slots, name
        assert shapes(state) == before, name


def shapes(state: State) -> list[torch.Size]:
    """Of all that a captured decode reads and writes."""
    held = [state.logits, state.token, state.ids, state.finished, state.step]
    spans = [tensor for span in state.spans for tensor in (span.valid, span.next_position)]
    return [tensor.shape for tensor in (*held, *spans, *state.cache.buffers())]


def test_a_host_tensor_would_be_noticed(mode: FakeTensorMode) -> None:
    table = on_cuda(torch.zeros(4), mode)
    with mode, Devices() as devices, pytest.raises(RuntimeError, match="cpu"):
        table + torch.arange(4)
    assert devices.seen.keys() == {torch.device("cpu")}


def test_a_value_that_is_asked_for_would_be_noticed(mode: FakeTensorMode) -> None:
    count = on_cuda(torch.zeros(()), mode)
    with mode, pytest.raises(DataDependentOutputException):
        count.item()
