"""The runs that are watched: one whole answer of the hybrid, or of transformers as it ships."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from bench.syncs.detector import detect_syncs
from bench.syncs.places import Place
from bench.syncs.report import Report
from bench.syncs.stages import (
    Label,
    label_calls,
    label_rest,
    label_stages,
    prefill_then_decode,
)
from bench.syncs.watch import current_watch, unwatched
from hybrid.inputs import Inputs, tensors_of
from hybrid.model import HybridLlava
from hybrid.stopping import EndWatch

ANY: Mapping[str, Label] = {
    "forward": prefill_then_decode,
    "language_model.layers.*": "layer {index}",
}
LLAVA: Mapping[str, Label] = {
    **ANY, "vision_tower": "vision", "multi_modal_projector": "projector"
}  # fmt: skip
QWEN: Mapping[str, Label] = {**ANY, "visual": "vision", "visual.merger": "projector"}
TRANSFORMERS_STAGES: Mapping[str, Mapping[str, Label]] = {
    "llava": LLAVA,
    "llava_next": LLAVA,
    "qwen2_5_vl": QWEN,
    "qwen3_vl": {**QWEN, "visual.deepstack_merger_list.*": "projector"},
}
"""By `model_type`."""


@contextmanager
def hybrid_stages(model: HybridLlava) -> Iterator[None]:
    """Label what `HybridLlava` does.

    `prefill vision`, `prefill projector`, `prefill layer i` (and `prefill` for what lies between),
    `choose token t`, `decode step t` with its layers, `read-back`. Token 1 comes of the prefill,
    and decode step 1 makes token 2. Uploading the inputs is not watched: the promise of no waits
    starts when they are on the device.
    """
    with ExitStack() as undo:
        undo.enter_context(label_calls(model, "prefill", "prefill"))
        undo.enter_context(label_calls(model, "select", _counted("choose token {}")))
        undo.enter_context(label_calls(model, "decode", _counted("decode step {}")))
        undo.enter_context(label_rest(model, "generate_no_sync", "read-back"))
        undo.enter_context(label_calls(model.vision, "look", "vision"))
        undo.enter_context(label_calls(model.projector, "forward", "projector"))
        for part in ("project", "attend", "finish"):
            undo.enter_context(label_calls(model.language, part, _layer))
        undo.enter_context(patch.object(model, "place", _unwatched(model.place)))
        undo.enter_context(patch.object(EndWatch, "__init__", _with_pinned_flags))
        yield


def watch_hybrid(
    model: HybridLlava,
    input_ids: Tensor,
    pixel_values: Tensor | None = None,
    attention_mask: Tensor | None = None,
    *,
    max_new_tokens: int,
    stack: bool = False,
    **images: Tensor,
) -> tuple[Report, Tensor]:
    """One `HybridLlava.generate` under the CPU tier: the report, and ids [B, S + T]."""
    with hybrid_stages(model), detect_syncs(device=model.device, stack=stack) as report:
        ids = model.generate(
            input_ids,
            pixel_values,
            attention_mask,
            max_new_tokens=max_new_tokens,
            trace=False,
            **images,
        )
    return report, ids


def watch_transformers(
    model: Any, inputs: Mapping[str, object], *, max_new_tokens: int, stack: bool = False
) -> tuple[Report, Tensor]:
    """One greedy `generate` of transformers' own, whose inputs are on its device already."""
    with (
        label_stages(model, TRANSFORMERS_STAGES[model.config.model_type]),
        detect_syncs(device=model.device, stack=stack) as report,
    ):
        ids: Tensor = model.generate(**inputs, max_new_tokens=max_new_tokens, do_sample=False)
    return report, ids


def _counted(text: str) -> Label:
    return lambda call, *_args, **_kwargs: text.format(call + 1)


def _layer(_call: int, index: int, *_args: object, **_kwargs: object) -> str:
    return f"layer {index}"


def _unwatched(place: Callable[..., Inputs]) -> Callable[..., Inputs]:
    """What it made on the host is on the device behind it, where on the CPU nothing is copied."""

    def quiet(*args: Any, **kwargs: Any) -> Inputs:
        with unwatched():
            inputs = place(*args, **kwargs)
        if watch := current_watch():
            for tensor in tensors_of(inputs):
                watch.places.put(tensor, Place.DEVICE)
        return inputs

    return quiet


_init = EndWatch.__init__


def _with_pinned_flags(self: EndWatch, device: torch.device) -> None:
    """On CUDA its flags are pinned; without CUDA nothing can be, so say what they stand for."""
    _init(self, device)
    watch = current_watch()
    if watch is not None and watch.places.cpu_plays_device:
        for value in vars(self).values():
            if isinstance(value, Tensor):
                watch.places.put(value, Place.PINNED)
