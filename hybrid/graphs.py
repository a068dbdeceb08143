"""CUDA graphs: prefill and decode captured once per batch size and bucket, then replayed.

A captured step costs the host one launch instead of hundreds, which is what decides at small
batches. It can be captured because nothing in it waits, no shape depends on data, and decode
changes its state in place. Prompts are padded on the left up to the next bucket.

On the CPU `HybridLlava` runs the same prefill, select and decode without capture.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import LlavaForConditionalGeneration

from hybrid.config import ConfigError, HybridConfig
from hybrid.inputs import Inputs, mapped, tensors_of
from hybrid.model import HybridLlava
from hybrid.rope import Spots
from hybrid.state import State

BUCKETS = (640, 704, 768, 1024)
WARMUP = 3  # runs before a capture, so that libraries have chosen their kernels and workspaces


@dataclass(frozen=True)
class _Captured:
    """Graphs of one (batch, bucket, T), and the tensors that they read and write."""

    inputs: Inputs
    state: State
    prefill: torch.cuda.CUDAGraph
    select: torch.cuda.CUDAGraph
    decode: torch.cuda.CUDAGraph


class GraphedLlava(HybridLlava):
    """A `HybridLlava` on a CUDA device that replays captured graphs instead of launching kernels.

    A prefill overwrites the state that an earlier one of the same batch size, bucket and number of
    new tokens returned.

    Args:
        llava: transformers' model, on a CUDA device.
        config: what to reduce.
        buckets: prompt lengths S to capture for.

    Raises:
        ConfigError: for no bucket, and if the model is not on a CUDA device; later, for a prompt
            longer than every bucket.
    """

    def __init__(
        self,
        llava: LlavaForConditionalGeneration,
        config: HybridConfig,
        buckets: tuple[int, ...] = BUCKETS,
    ) -> None:
        super().__init__(llava, config)
        if not buckets or min(buckets) < 1:
            raise ConfigError(
                f"buckets={buckets} must be prompt lengths to capture for, such as {BUCKETS}"
            )
        _demand_cuda(self.device)
        self.buckets = buckets
        self._captured: dict[tuple[int, int, int], _Captured] = {}

    @torch.inference_mode()
    def prefill(self, inputs: Inputs, max_new_tokens: int) -> State:
        """As in `HybridLlava`, in the smallest bucket that holds the prompt.

        Raises:
            ConfigError: prompts without an image, or with several.
        """
        if inputs.images is not None or inputs.tower is not None:
            raise ConfigError(
                "graphs are captured for prompts with one image of one size each: take HybridLlava"
            )
        bucket = bucket_of(inputs.input_ids.shape[1], self.buckets)
        padded = left_padded(inputs, bucket)
        key = (inputs.batch, bucket, max_new_tokens)
        if key not in self._captured:
            self._captured[key] = self._captured_for(padded, max_new_tokens)  # waits, once a key
        captured = self._captured[key]
        _copy_inputs(padded, captured.inputs)
        captured.prefill.replay()
        return captured.state

    @torch.inference_mode()
    def select(self, state: State) -> None:
        """As in `HybridLlava`."""
        self._graphs_of(state).select.replay()

    @torch.inference_mode()
    def decode(self, state: State) -> None:
        """As in `HybridLlava`."""
        self._graphs_of(state).decode.replay()

    def _graphs_of(self, state: State) -> _Captured:
        for captured in self._captured.values():
            if captured.state is state:
                return captured
        raise ValueError("this state is not one that this model's prefill returned")

    def _captured_for(self, inputs: Inputs, max_new_tokens: int) -> _Captured:
        # The graph reads these tensors at every replay, so they must be nobody else's.
        inputs = mapped(inputs, Tensor.clone)
        state: list[State] = []

        def prefill() -> None:
            state[:] = [HybridLlava.prefill(self, inputs, max_new_tokens)]

        prefill_graph = capture(prefill)
        # Each run of a step starts from a fresh prefill, or the steps would overrun their buffers.
        fresh = prefill_graph.replay
        select_graph = capture(lambda: HybridLlava.select(self, state[0]), fresh)
        decode_graph = capture(lambda: HybridLlava.decode(self, state[0]), fresh)
        return _Captured(inputs, state[0], prefill_graph, select_graph, decode_graph)


def capture(
    work: Callable[[], None], before: Callable[[], None] = lambda: None
) -> torch.cuda.CUDAGraph:
    """Capture `work`, after a few runs (each behind `before`) on a side stream."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARMUP):
            before()
            work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph


def _demand_cuda(device: torch.device) -> None:
    if device.type != "cuda":
        raise ConfigError(f"graphs are captured on a CUDA device, not on {device}")


def bucket_of(length: int, buckets: tuple[int, ...]) -> int:
    """The smallest bucket that holds a prompt of `length` tokens.

    Raises:
        ConfigError: naming the limit and how to raise it.
    """
    fitting = [bucket for bucket in buckets if bucket >= length]
    if not fitting:
        raise ConfigError(
            f"a prompt of {length} tokens is longer than the largest bucket {max(buckets)}: "
            f"give GraphedLlava(buckets=...) one of at least {length}"
        )
    return min(fitting)


def left_padded(inputs: Inputs, length: int) -> Inputs:
    """Prompts of one image each, padded on the left to `length`; always masked, since the padding
    may be any."""
    missing = length - inputs.input_ids.shape[1]
    more = torch.arange(missing, device=inputs.input_ids.device).expand(inputs.batch, -1)
    text, image, before = inputs.spots
    return replace(
        inputs,
        input_ids=pad(inputs.input_ids, (missing, 0)),
        attention_mask=pad(inputs.attention_mask, (missing, 0)),
        position_ids=pad(inputs.position_ids, (missing, 0)),
        spots=Spots(torch.cat([more, text + missing], dim=1), image + missing, before + missing),
        padded=True,
    )


def _copy_inputs(source: Inputs, target: Inputs) -> None:
    for given, captured in zip(tensors_of(source), tensors_of(target), strict=True):
        captured.copy_(given)
