"""What each arm's figures are made of, by a clock that moves by one unit at each counted call."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.cost.roofline import Ceiling, LlavaShape, answer_floors
from bench.timing.arms import dense_arm, floors_of, hybrid_arm
from bench.timing.interleave import timed_call
from hybrid import HybridConfig, HybridLlava, Keep, hybridize
from hybrid.methods import METHODS
from tests.llavas import VISION_BLOCKS, batch, random_llava

PLACE, PREFILL, SELECT, DECODE, READ = 1, 10, 100, 1000, 100_000


@dataclass
class CountingClock:
    """Its time is what was counted. Whole numbers: nothing is rounded."""

    name: str = "counted"
    now: int = 0

    def wait(self) -> None:
        pass

    def mark(self) -> int:
        return self.now

    def seconds(self, start: int, end: int) -> float:
        return float(end - start)

    def counted(self, function: Callable[..., Any], units: int) -> Callable[..., Any]:
        """`function`, each call of which takes so many units."""

        @wraps(function)  # transformers looks at the signature
        def call(*args: Any, **kwargs: Any) -> Any:
            self.now += units
            return function(*args, **kwargs)

        return call


class Uploaded(dict[str, Tensor]):
    """A batch that counts when it is taken apart, as for an upload."""

    def __init__(self, tensors: Mapping[str, Tensor], clock: CountingClock) -> None:
        super().__init__(tensors)
        self.clock = clock

    def items(self) -> Any:
        self.clock.now += PLACE
        return super().items()


@contextmanager
def reads_counted(clock: CountingClock) -> Iterator[None]:
    """Tensors that are sent to the host by name count."""
    with pytest.MonkeyPatch.context() as patch:
        to = torch.Tensor.to

        def counted(tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
            clock.now += READ if args == ("cpu",) else 0
            return to(tensor, *args, **kwargs)

        patch.setattr(torch.Tensor, "to", counted)
        yield


@pytest.fixture
def llava() -> Any:
    llava = random_llava()
    llava.generation_config.eos_token_id = None
    return llava


SIZES = pytest.mark.parametrize("size", [1, 3])
LENGTHS = pytest.mark.parametrize("new_tokens", [2, 3, 9])


@SIZES
@LENGTHS
def test_the_hybrid_s_decode_is_per_step_and_its_answer_is_all_of_it(
    llava: Any, size: int, new_tokens: int
) -> None:
    clock, model = CountingClock(), hybridize(llava, HybridConfig(keep=5, aggregation_layer=1))
    called: Any = model
    for name, units in (
        ("place", PLACE),
        ("prefill", PREFILL),
        ("select", SELECT),
        ("decode", DECODE),
    ):
        setattr(called, name, clock.counted(getattr(model, name), units))
    with reads_counted(clock):
        seconds = timed_call(hybrid_arm(model, vars(batch(size)), new_tokens), clock, None).seconds
    first, step = PLACE + PREFILL + SELECT, DECODE + SELECT
    assert seconds == {
        "prefill": first,
        "decode": step,
        "answer": first + (new_tokens - 1) * step + READ,
    }


@SIZES
@LENGTHS
def test_dense_s_decode_is_per_step_and_its_answer_is_all_of_it(
    llava: Any, size: int, new_tokens: int
) -> None:
    """Of transformers' own loop: a forward is one step, the first one the prompt's."""
    clock = CountingClock()
    llava.forward = clock.counted(llava.forward, DECODE)
    given = Uploaded(vars(batch(size)), clock)
    with reads_counted(clock):
        seconds = timed_call(dense_arm(llava, given, new_tokens), clock, None).seconds
    assert seconds == {
        "prefill": PLACE + DECODE,
        "decode": DECODE,
        "answer": PLACE + new_tokens * DECODE + READ,
    }


MERGING = (0.6, 0.5, 0.4, 1.0)
CEILING = Ceiling(name="m", flops_per_s=1e9, bytes_per_s=1e9)


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize(
    "config",
    [
        HybridConfig(),
        HybridConfig(thresholds=MERGING),
        HybridConfig(thresholds=MERGING, capacity=20),
        HybridConfig(keep=5, aggregation_layer=0),
        HybridConfig(keep=5, aggregation_layer=1, thresholds=MERGING),
        HybridConfig(keep="0.5", aggregation_layer=2, thresholds=MERGING, capacity=20),
        HybridConfig(keep=5, aggregation_layer=1, thresholds=MERGING, capacity=20, prune="mask"),
        *(HybridConfig(method=(METHODS[name](Keep(count=9)),)) for name in ("tome", "downsample")),
        HybridConfig(method=(METHODS["visionzip"](Keep(count=9)),)),
    ],
    ids=str,
)
def test_a_floor_is_of_the_tokens_that_each_layer_holds(
    llava: Any, config: HybridConfig, size: int
) -> None:
    """As counted in a run: blocks of the tower that were called, and every layer's own cache."""
    model, given, new_tokens = hybridize(llava, config), vars(batch(size)), 4
    assert floors_of(llava, model, given, new_tokens, CEILING) == answer_floors(
        LlavaShape.from_config(llava.config, element_bytes=4),
        CEILING,
        tower=towers_tokens(model, given),
        layers=cached_tokens(model, given),
        batch=size,
        new_tokens=new_tokens,
        projected=projected_tokens(model, given),
    )


def test_the_floor_of_transformers_own_model_is_of_every_block_and_the_whole_prompt(
    llava: Any,
) -> None:
    given = vars(batch(2))
    assert floors_of(llava, None, given, 4, CEILING) == answer_floors(
        LlavaShape.from_config(llava.config, element_bytes=4),
        CEILING,
        tower=[37] * VISION_BLOCKS,
        layers=[given["input_ids"].shape[1]] * 5,
        batch=2,
        new_tokens=4,
    )


def towers_tokens(model: HybridLlava, given: Mapping[str, Tensor]) -> list[int]:
    """Tokens of each block that runs, CLS included."""
    seen: list[int] = []
    hooks = [
        block.mlp.register_forward_hook(lambda _module, given, _out: seen.append(given[0].shape[1]))
        for block in model.vision.model.encoder.layers
    ]
    with torch.inference_mode():
        model.vision(given["pixel_values"])
    for hook in hooks:
        hook.remove()
    return seen


def projected_tokens(model: HybridLlava, given: Mapping[str, Tensor]) -> int:
    """Tokens that the projector takes on their way into the language model."""
    seen: list[int] = []
    hook = model.projector.register_forward_hook(
        lambda _module, given, _out: seen.append(given[0].shape[1])
    )
    model.prefill(model.place(**given), 1)
    hook.remove()
    return seen[-1]


def cached_tokens(model: HybridLlava, given: Mapping[str, Tensor]) -> list[int]:
    """Tokens of the prompt in each layer."""
    cache = model.prefill(model.place(**given), 1).cache
    return [cache.prompt_length(layer) for layer in range(len(model.language.layers))]
