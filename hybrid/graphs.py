"""CUDA graphs: prefill and decode captured once per batch size and bucket, then replayed.

A captured step costs the host one launch instead of hundreds, which is what decides at small
batches. It can be captured because nothing in it waits, no shape depends on data, and decode
changes its state in place. Prompts are padded on the left up to the next bucket.

No GPU has confirmed this file yet; `python -m bench gpu-check` will. On the CPU `HybridLlava` runs
the same prefill, select and decode without capture.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from hybrid.config import ConfigError
from hybrid.inputs import Inputs
from hybrid.model import HybridLlava, State
from hybrid.stopping import EndWatch

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


class GraphedLlava:
    """Replays a `HybridLlava` on its CUDA device.

    Args:
        model: on a CUDA device.
        buckets: prompt lengths S to capture for, ascending.

    Raises:
        ConfigError: if the model is not on a CUDA device.
    """

    def __init__(self, model: HybridLlava, buckets: tuple[int, ...] = BUCKETS) -> None:
        if model.device.type != "cuda":
            raise ConfigError(f"graphs are captured on a CUDA device, not on {model.device}")
        self.model = model
        self.buckets = tuple(sorted(buckets))
        self._captured: dict[tuple[int, int, int], _Captured] = {}

    def bucket(self, length: int) -> int:
        """The smallest bucket that holds a prompt of `length` tokens.

        Raises:
            ConfigError: naming the limit and how to raise it.
        """
        for bucket in self.buckets:
            if length <= bucket:
                return bucket
        raise ConfigError(
            f"a prompt of {length} tokens is longer than the largest bucket {self.buckets[-1]}: "
            f"give GraphedLlava(buckets=...) one of at least {length}"
        )

    @torch.inference_mode()
    def generate_no_sync(self, inputs: Inputs, max_new_tokens: int) -> Tensor:
        """As `HybridLlava.generate_no_sync`; the result is overwritten by the next call."""
        bucket = self.bucket(inputs.input_ids.shape[1])
        key = (inputs.batch, bucket, max_new_tokens)
        if key not in self._captured:
            self._captured[key] = self._capture(_left_padded(inputs, bucket), max_new_tokens)
        captured = self._captured[key]
        _copy_inputs(_left_padded(inputs, bucket), captured.inputs)
        captured.prefill.replay()
        watch = EndWatch(self.model.device)
        for count in range(1, max_new_tokens + 1):
            captured.select.replay()
            if count == max_new_tokens or watch.all_ended(captured.state.finished):
                break
            captured.decode.replay()
        return captured.state.ids[:, :count]

    def _capture(self, inputs: Inputs, max_new_tokens: int) -> _Captured:
        model = self.model
        state: list[State] = []

        def prefill() -> None:
            state[:] = [model.prefill(inputs, max_new_tokens)]

        prefill_graph = _graph(prefill)
        # Each run of a step starts from a fresh prefill, or the steps would overrun their buffers.
        fresh = prefill_graph.replay
        select_graph = _graph(lambda: model.select(state[0]), fresh)
        decode_graph = _graph(lambda: model.decode(state[0]), fresh)
        return _Captured(inputs, state[0], prefill_graph, select_graph, decode_graph)


def _graph(
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


def _left_padded(inputs: Inputs, length: int) -> Inputs:
    """Prompts padded on the left to `length`; always masked, since the padding may be any."""
    missing = length - inputs.input_ids.shape[1]
    return Inputs(
        input_ids=pad(inputs.input_ids, (missing, 0)),
        pixel_values=inputs.pixel_values.clone(),
        attention_mask=pad(inputs.attention_mask, (missing, 0)),
        padded=True,
    )


def _copy_inputs(source: Inputs, target: Inputs) -> None:
    target.input_ids.copy_(source.input_ids)
    target.pixel_values.copy_(source.pixel_values)
    target.attention_mask.copy_(source.attention_mask)
