"""What is timed: one greedy answer of a fixed number of tokens, by each arm, to the same prompts.

Every arm marks `prefill` (inputs on the host until the first token's logits), `decode` (seconds a
token behind it) and `answer` (all of it, read back to the host).
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor
from transformers import StoppingCriteria

from bench.arms.families import LLAVA, kind_of
from bench.arms.finite import demand_finite
from bench.arms.models import Answerer
from bench.cost.gpu import known_gpu
from bench.cost.roofline import Ceiling, Floor, LlavaShape, answer_floors
from bench.timing.host import measure_host_ceiling
from bench.timing.interleave import Arm, Stopwatch
from hybrid import HybridLlava
from hybrid.merging import Tokens


def answer_arm(
    name: str,
    answerer: Answerer,
    prompts: Sequence[str],
    images: Sequence[Image],
    new_tokens: int,
) -> Arm:
    """Time `answerer` on one batch; nothing ends before `new_tokens` (at least 2) are there.

    Raises:
        UserError: its logits are not finite, as `demand_finite` says.
    """
    batch = answerer.encode(prompts, images)
    return finite_arm(name, answerer.llava, answerer.hybrid, batch, new_tokens)


def finite_arm(
    name: str,
    llava: Any,
    hybrid: HybridLlava | None,
    batch: Mapping[str, Tensor],
    new_tokens: int,
) -> Arm:
    """Time `hybrid`, or transformers' own model if it is None, once its logits proved finite.

    Raises:
        UserError: as `demand_finite` says.
    """
    demand_finite(name, llava, hybrid, batch, new_tokens)
    if hybrid is None:
        return dense_arm(llava, batch, new_tokens)
    return hybrid_arm(hybrid, batch, new_tokens)


def ceiling_of(llava: Any, threads: int) -> Ceiling | None:
    """What its device does at best with such weights: measured on a CPU, from data sheets on a GPU,
    or unknown."""
    if llava.device.type == "cpu":
        held = sum(weight.nbytes for weight in llava.parameters())
        return measure_host_ceiling(threads=threads, dtype=llava.dtype, weight_bytes=held)
    gpu = known_gpu(torch.cuda.get_device_name(llava.device))
    return gpu.ceiling if gpu else None


def floors_of(
    llava: Any,
    hybrid: HybridLlava | None,
    batch: Mapping[str, Tensor],
    new_tokens: int,
    ceiling: Ceiling,
) -> dict[str, Floor]:
    """The least time each stage of an arm could take, from the tokens that it works on; empty for a
    family whose work is not counted.

    hybrid: what `llava` is reduced by; None for transformers' own model.
    """
    if kind_of(llava.config).model_type != LLAVA:
        return {}
    shape = LlavaShape.from_config(llava.config, element_bytes=llava.dtype.itemsize)
    samples, length = batch["input_ids"].shape
    tower, projected = [shape.image_tokens + 1] * shape.vision_layers, shape.image_tokens
    layers = [length] * shape.text_layers
    if hybrid is not None:
        tower, projected = tower_tokens(hybrid), hybrid.slots
        layers = [length - shape.image_tokens + slots for slots in hybrid.layer_slots]
    return answer_floors(
        shape,
        ceiling,
        tower=tower,
        layers=layers,
        batch=samples,
        new_tokens=new_tokens,
        projected=projected,
    )


def tower_tokens(hybrid: HybridLlava) -> list[int]:
    """Tokens of each block that runs, CLS included, behind its merge; its stage is run on `meta`.

    An earlier revision's tower, from before images were made smaller, is taken for one that sees
    all patches.
    """
    vision = hybrid.vision
    blocks = len(vision.blocks)
    if not hasattr(vision, "across"):
        return [vision.patches + 1] * blocks
    tokens = Tokens.unmerged(torch.empty(1, 1 + vision.across**2, 1, device="meta"))
    counts = []
    for block in range(blocks):
        if vision.stage:
            keys = torch.empty(1, 1, tokens.size.shape[1], 1, device="meta")
            tokens = vision.stage.merge(block, tokens, keys)
        counts.append(tokens.size.shape[1])
    return counts


def hybrid_arm(model: HybridLlava, batch: Mapping[str, Tensor], new_tokens: int) -> Arm:
    """`HybridLlava.generate`, stage by stage, without stopping early."""

    def arm(watch: Stopwatch) -> None:
        with watch("answer"):
            with watch("prefill"):
                state = model.prefill(model.place(**batch), new_tokens)
                model.select(state)
            with watch("decode", per=new_tokens - 1):
                for _ in range(new_tokens - 1):
                    model.decode(state)
                    model.select(state)
            state.ids.to("cpu")

    return arm


class _FirstToken(StoppingCriteria):
    """Called by transformers behind each token: closes `prefill` and opens `decode`."""

    def __init__(self, stages: ExitStack, watch: Stopwatch, new_tokens: int) -> None:
        self.stages, self.watch, self.new_tokens = stages, watch, new_tokens
        self.seen = False

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
        if not self.seen:
            self.seen = True
            self.stages.close()
            self.stages.enter_context(self.watch("decode", per=self.new_tokens - 1))
        return torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)


def dense_arm(llava: Any, batch: Mapping[str, Tensor], new_tokens: int, **options: object) -> Arm:
    """transformers' greedy `generate`; `options` are its own, such as cache_implementation."""

    def arm(watch: Stopwatch) -> None:
        with watch("answer"), ExitStack() as stages:
            stages.enter_context(watch("prefill"))
            on_device = {name: tensor.to(llava.device) for name, tensor in batch.items()}
            on_device["pixel_values"] = on_device["pixel_values"].to(llava.dtype)
            ids = llava.generate(
                **on_device,
                min_new_tokens=new_tokens,
                max_new_tokens=new_tokens,
                do_sample=False,
                **options,
                stopping_criteria=[_FirstToken(stages, watch, new_tokens)],
            )
            stages.close()  # the read-back is the answer's alone, as in `hybrid_arm`
            ids.to("cpu")

    return arm
