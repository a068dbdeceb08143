"""Answers together with the two largest logits of their first tokens, for the margins of flips.

Taken on the device and read back once, behind the ids: nothing waits in between. The model
itself is not touched, and an arm that is only timed does not pay for it.
"""

from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList

from bench.models import Answerer, Checkpoint
from bench.runs.margins import TOKENS, Tops
from hybrid import HybridConfig, HybridLlava
from hybrid.state import State


class TopLogits(LogitsProcessor):
    """Sees the logits of each step; keeps the two largest of the first `TOKENS` steps."""

    def __init__(self) -> None:
        self.steps: list[Tensor] = []

    def see(self, logits: Tensor) -> None:
        """logits: [B, V]."""
        if len(self.steps) < TOKENS:
            self.steps.append(logits.topk(2, dim=-1).values.float())  # [B, 2]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """For transformers' `generate`, whose choice stays what it is."""
        self.see(scores)
        return scores

    def read(self, new_ids: Tensor, end_ids: list[int]) -> list[Tops]:
        """One a sample. new_ids: [B, t] as generated, padded behind each sample's end."""
        logits = torch.stack(self.steps, dim=1).tolist()  # [B, min(T, TOKENS), 2]
        tops = []
        for ids, pairs in zip(new_ids.tolist(), logits, strict=True):
            end = next((i for i, id in enumerate(ids) if id in end_ids), len(ids) - 1)
            length = min(end + 1, len(pairs))
            tops.append(Tops(tuple(ids[:length]), tuple(map(tuple, pairs[:length]))))
        return tops


class WatchedLlava(HybridLlava):
    """`HybridLlava` whose logits are seen before each token is chosen from them."""

    def __init__(self, checkpoint: Checkpoint, config: HybridConfig) -> None:
        super().__init__(checkpoint.llava, config)
        self.watch = TopLogits()

    @torch.inference_mode()
    def select(self, state: State) -> None:
        self.watch.see(state.logits)
        super().select(state)


class RecordingAnswerer(Answerer):
    """An `Answerer` that also says how near its answers were to being other ones."""

    def __init__(self, checkpoint: Checkpoint, config: HybridConfig | None) -> None:
        super().__init__(checkpoint, config)
        self.watched = None if config is None else WatchedLlava(checkpoint, config)
        self.hybrid = self.watched
        ends = checkpoint.llava.generation_config.eos_token_id
        self.end_ids: list[int] = ends if isinstance(ends, list) else [] if ends is None else [ends]

    def answer_recorded(self, batch: dict[str, Any], max_new_tokens: int) -> list[tuple[str, Tops]]:
        """For each sample of what `encode` returned its answer, and the tops of its tokens."""
        watch = TopLogits()
        if self.watched is not None:
            self.watched.watch = watch
            ids = self.new_ids(batch, max_new_tokens)
        else:
            seeing = LogitsProcessorList([watch])
            ids = self.new_ids(batch, max_new_tokens, logits_processor=seeing)
        return list(zip(self.texts(ids), watch.read(ids, self.end_ids), strict=True))
