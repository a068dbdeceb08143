"""The least time that a stage can take on a machine, and the wall it then stands against.

Each layer needs so many floating-point operations and must move so many bytes; whichever takes
longer at the machine's full rate is the layer's floor (Williams S., Waterman A., Patterson D.
(2009), Roofline, https://doi.org/10.1145/1498765.1498785). What is left out, so that it stays a
floor: launches, softmax, norms, the ranking row, top-k and gather.

Counted per layer, for n tokens of each of b samples, width d, MLP width f:
flops    2 (weights) n b, and for scores and weighted values 4 n^2 d b, half of it under a
         causal mask;
weights  read once, whatever the batch;
traffic  input and output of each matrix product (q, k, v share their input, and so do gate and
         up), and the residual stream read twice more: (10 d + 3 f) n b elements.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Wall(StrEnum):
    COMPUTE = "compute"
    WEIGHTS = "weights"  # memory, mostly for weights: a larger batch is free
    BANDWIDTH = "bandwidth"  # memory, mostly for activations and cache
    LAUNCHES = "launches"  # none of the GPU's: what the host takes to submit operators; no floor


@dataclass(frozen=True, kw_only=True)
class Work:
    """One layer's or operator's share: floating-point operations, and bytes of weights and of all
    the rest.
    """

    flops: float
    weight_bytes: float
    other_bytes: float


@dataclass(frozen=True, kw_only=True)
class Ceiling:
    """What a machine does at best: floating-point operations and bytes a second."""

    name: str
    flops_per_s: float
    bytes_per_s: float


@dataclass(frozen=True, kw_only=True)
class Floor:
    """flops, moved_bytes: the work behind it. ceiling: the machine that it holds for."""

    seconds: float
    wall: Wall
    flops: float = 0.0
    moved_bytes: float = 0.0
    ceiling: Ceiling | None = None


@dataclass(frozen=True, kw_only=True)
class LlavaShape:
    """Widths and depths of a LLaVA: a CLIP tower, a two-layer projector, a Llama."""

    image_tokens: int  # patches of the image; the tower sees one more, CLS
    patch_pixels: int  # of one patch, all channels: 3 * 14 * 14
    vision_width: int
    vision_mlp: int
    vision_layers: int
    text_width: int
    text_mlp: int
    text_layers: int
    key_value_width: int  # of keys; narrower than text_width with grouped queries
    vocabulary: int
    element_bytes: int  # 2 for half precision, 4 for float32

    @classmethod
    def from_config(cls, config: Any, *, element_bytes: int) -> "LlavaShape":
        """From a `transformers.LlavaConfig`."""
        vision, text = config.vision_config, config.text_config
        return cls(
            image_tokens=(vision.image_size // vision.patch_size) ** 2,
            patch_pixels=vision.num_channels * vision.patch_size**2,
            vision_width=vision.hidden_size,
            vision_mlp=vision.intermediate_size,
            vision_layers=vision.num_hidden_layers,
            text_width=text.hidden_size,
            text_mlp=text.intermediate_size,
            text_layers=text.num_hidden_layers,
            key_value_width=text.num_key_value_heads
            * (text.hidden_size // text.num_attention_heads),
            vocabulary=text.vocab_size,
            element_bytes=element_bytes,
        )

    @property
    def text_layer_weights(self) -> int:
        """Parameters in the matrices of one Llama layer."""
        d, kv, f = self.text_width, self.key_value_width, self.text_mlp
        return 2 * d * d + 2 * d * kv + 3 * d * f


def vision(
    shape: LlavaShape, tokens: Sequence[int], *, batch: int, projected: int | None = None
) -> list[Work]:
    """Patch embedding, tower and projector.

    tokens: of each tower block that runs, CLS included. projected: tokens that the projector takes,
    what the last block leaves without CLS if not given.
    """
    d, f, b, size = shape.vision_width, shape.vision_mlp, batch, shape.element_bytes
    patches = shape.image_tokens
    embedding = _matrix(shape.patch_pixels, d, rows=patches * b, size=size)
    blocks = [
        Work(
            flops=b * (2 * (4 * d * d + 2 * d * f) * n + 4 * n * n * d),
            weight_bytes=size * (4 * d * d + 2 * d * f),
            other_bytes=size * (10 * d + 2 * f) * n * b,  # no gate: one product less
        )
        for n in tokens
    ]
    kept = (tokens[-1] - 1 if projected is None else projected) * b
    projector = [
        _matrix(d, shape.text_width, rows=kept, size=size),
        _matrix(shape.text_width, shape.text_width, rows=kept, size=size),
    ]
    return [embedding, *blocks, *projector]


def prefill(shape: LlavaShape, tokens: Sequence[int], *, batch: int) -> list[Work]:
    """Llama layers on the prompt, and the vocabulary's row of its last token.

    tokens: of each layer, text and what is left of the image.
    """
    d, f, b, size = shape.text_width, shape.text_mlp, batch, shape.element_bytes
    weights = shape.text_layer_weights
    layers = [
        Work(
            flops=b * (2 * weights * n + 2 * n * n * d),
            weight_bytes=size * weights,
            other_bytes=size * (10 * d + 3 * f) * n * b,
        )
        for n in tokens
    ]
    return [*layers, _vocabulary(shape, batch)]


def decode(shape: LlavaShape, context: Sequence[int], *, batch: int) -> list[Work]:
    """One more token. context: tokens in each layer's cache."""
    d, b, size = shape.text_width, batch, shape.element_bytes
    weights = shape.text_layer_weights
    layers = [
        Work(
            flops=b * (2 * weights + 4 * n * d),
            weight_bytes=size * weights,
            other_bytes=size * 2 * shape.key_value_width * n * b,
        )
        for n in context
    ]
    return [*layers, _vocabulary(shape, batch)]


def floor(works: Sequence[Work], ceiling: Ceiling) -> Floor:
    """Sum of the layers' floors, and the wall at which most of that time is spent."""
    spent = seconds_at(works, ceiling)
    return Floor(
        seconds=sum(spent.values()),
        wall=max(spent, key=spent.__getitem__),
        flops=sum(work.flops for work in works),
        moved_bytes=sum(work.weight_bytes + work.other_bytes for work in works),
        ceiling=ceiling,
    )


def seconds_at(works: Sequence[Work], ceiling: Ceiling) -> dict[Wall, float]:
    """The works' floors, summed for each wall."""
    spent = dict.fromkeys((Wall.COMPUTE, Wall.WEIGHTS, Wall.BANDWIDTH), 0.0)
    for work in works:
        moved = work.weight_bytes + work.other_bytes
        compute, memory = work.flops / ceiling.flops_per_s, moved / ceiling.bytes_per_s
        if compute >= memory:
            wall = Wall.COMPUTE
        else:
            wall = Wall.WEIGHTS if work.weight_bytes >= work.other_bytes else Wall.BANDWIDTH
        spent[wall] += max(compute, memory)
    return spent


def answer_floors(
    shape: LlavaShape,
    ceiling: Ceiling,
    *,
    tower: Sequence[int],
    layers: Sequence[int],
    batch: int,
    new_tokens: int,
    projected: int | None = None,
) -> dict[str, Floor]:
    """Floors of one answer: `prefill` (vision included), `decode` (a token), `answer` (all).

    tower, layers: tokens that each tower block (CLS included) and each language-model layer works
    on in prefill; where shapes are static, the padded ones. new_tokens: length of the answer,
    its first token included, which prefill yields. projected: as in `vision`.
    """
    seen = vision(shape, tower, batch=batch, projected=projected)
    first = [*seen, *prefill(shape, layers, batch=batch)]
    steps = [
        work
        for step in range(1, new_tokens)
        for work in decode(shape, [tokens + step for tokens in layers], batch=batch)
    ]
    floors = {"prefill": floor(first, ceiling), "answer": floor([*first, *steps], ceiling)}
    if steps:
        every = floor(steps, ceiling)
        floors["decode"] = Floor(
            seconds=every.seconds / (new_tokens - 1),
            wall=every.wall,
            flops=every.flops / (new_tokens - 1),
            moved_bytes=every.moved_bytes / (new_tokens - 1),
            ceiling=ceiling,
        )
    return floors


def _matrix(inputs: int, outputs: int, *, rows: int, size: int) -> Work:
    return Work(
        flops=2 * inputs * outputs * rows,
        weight_bytes=size * inputs * outputs,
        other_bytes=size * (inputs + outputs) * rows,
    )


def _vocabulary(shape: LlavaShape, batch: int) -> Work:
    return _matrix(shape.text_width, shape.vocabulary, rows=batch, size=shape.element_bytes)
