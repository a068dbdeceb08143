"""Logits that are no finite numbers are no answer: an error that says where they come from.

In half precision a product can overflow, and of the NaN that follows `argmax` makes a token like
any other: the answer is empty, or one word again and again, and comes as fast as a real one.
Whether logits are finite is noted on the device and read with the answer. Only if they are not,
the prompt is answered once more, alone, with every module watched.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import LogitsProcessor, LogitsProcessorList

from bench.base.errors import UserError
from hybrid import HybridConfig, HybridLlava

MEND = "load it in a dtype that holds them (bfloat16, float32), or mend the checkpoint"


class FiniteWatch(LogitsProcessor):
    """Notes for each step which samples' logits are all finite."""

    def __init__(self) -> None:
        self.finite: list[Tensor] = []

    def see(self, logits: Tensor) -> None:
        """logits: [B, V]."""
        self.finite.append(logits.isfinite().all(dim=-1))  # [B]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """For transformers' `generate`, whose choice stays what it is."""
        self.see(scores)
        return scores

    def first_bad(self) -> list[int | None]:
        """For each sample the first step whose logits are not finite; None without one."""
        rows = torch.stack(self.finite, dim=1).tolist()  # [B, T]
        return [row.index(False) if False in row else None for row in rows]


def not_finite(
    llava: Any,
    config: HybridConfig | None,
    batch: Mapping[str, Tensor],
    row: int,
    step: int,
    *,
    arm: str,
    sample: str,
) -> UserError:
    """The error for logits that are not finite, naming the layer that is so first.

    Args:
        config: of the arm; None is transformers' own model.
        batch: prompts with an image each, as `Answerer.encode` gives them, on the host.
        row: the sample in the batch.
        step: the new token before which it was seen, from 0.
        arm, sample: what they are called.
    """
    where = first_not_finite(llava, config, _alone(batch, row), step + 1)
    found = where or "no layer's if it is answered alone: try it with --batch-size 1"
    dtype = str(llava.dtype).removeprefix("torch.")
    return UserError(
        f"{arm}, {dtype}: the logits of new token {step + 1} of {sample} are not finite numbers"
        f" (NaN or infinite); first not finite: {found}; {MEND}"
    )


def first_not_finite(
    llava: Any, config: HybridConfig | None, one: dict[str, Tensor], new_tokens: int
) -> str | None:
    """What is not finite first while a prompt is answered: what goes into or comes out of a layer.

    What is computed between layers, attention or a sum, shows where it goes in next.
    """
    with _watched(llava):
        try:
            if config is None:
                one["pixel_values"] = one["pixel_values"].to(llava.dtype)
                llava.generate(
                    **{name: tensor.to(llava.device) for name, tensor in one.items()},
                    max_new_tokens=new_tokens,
                    do_sample=False,
                )
            else:  # without graphs: a replay calls no module
                hybrid = HybridLlava(llava, config)
                hybrid.generate(**one, max_new_tokens=new_tokens, trace=False)
        except _NotFinite as found:
            return str(found)
    return None


def demand_finite(
    name: str,
    llava: Any,
    hybrid: HybridLlava | None,
    batch: Mapping[str, Tensor],
    new_tokens: int,
) -> None:
    """Let an arm that is to be timed give its answer once: NaN is as fast as a number.

    Args:
        name: of the arm.
        hybrid: None for transformers' own model.

    Raises:
        UserError: its logits are not finite, as `not_finite` says.
    """
    watch = FiniteWatch()
    if hybrid is None:
        pixels = batch["pixel_values"].to(llava.dtype)
        llava.generate(
            **{k: v.to(llava.device) for k, v in {**batch, "pixel_values": pixels}.items()},
            max_new_tokens=new_tokens,
            do_sample=False,
            logits_processor=LogitsProcessorList([watch]),
        )
    else:
        state = hybrid.prefill(hybrid.place(**batch), new_tokens)
        watch.see(state.logits)
        for _ in range(new_tokens - 1):
            hybrid.select(state)
            hybrid.decode(state)
            watch.see(state.logits)
    config = None if hybrid is None else hybrid.config
    for row, step in enumerate(watch.first_bad()):
        if step is not None:
            raise not_finite(llava, config, batch, row, step, arm=name, sample=f"prompt {row}")


def _alone(batch: Mapping[str, Tensor], row: int) -> dict[str, Tensor]:
    """One sample of a batch, without its padding."""
    real = batch["attention_mask"][row].bool()
    one = {
        name: tensor[row][real][None] if tensor.shape == batch["input_ids"].shape else tensor[[row]]
        for name, tensor in batch.items()
        if name != "pixel_values"
    }
    pixels = batch["pixel_values"]
    if "image_grid_thw" not in batch:
        return {**one, "pixel_values": pixels[[row]]}
    patches = batch["image_grid_thw"].prod(dim=1)  # rows of pixels, an image behind the other
    begin, count = int(patches[:row].sum()), int(patches[row])
    return {**one, "pixel_values": pixels[begin : begin + count]}


class _NotFinite(Exception):
    """Found: says where."""


@contextmanager
def _watched(llava: nn.Module) -> Iterator[None]:
    """Every module raises `_NotFinite` for what goes in and comes out; the host waits for each."""
    with ExitStack() as hooks:
        for name, module in llava.named_modules():
            if name:
                for handle in _hook(name, module):
                    hooks.callback(handle.remove)
        yield


def _hook(name: str, module: nn.Module) -> Iterator[Any]:
    layer = f"{name} ({type(module).__name__})"

    def before(_: nn.Module, given: tuple[Any, ...]) -> None:
        if not _finite(given):
            raise _NotFinite(f"what goes into {layer}")

    def behind(_: nn.Module, given: tuple[Any, ...], out: Any) -> None:
        if not _finite(out):
            raise _NotFinite(f"what comes out of {layer}")

    yield module.register_forward_pre_hook(before)
    yield module.register_forward_hook(behind)


def _finite(value: Any) -> bool:
    """Whether all floating-point tensors of a module's positional inputs or outputs are."""
    if isinstance(value, Tensor):
        return not value.is_floating_point() or bool(value.isfinite().all())
    if isinstance(value, tuple | list):
        return all(map(_finite, value))
    return True
