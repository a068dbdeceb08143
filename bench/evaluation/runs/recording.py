"""Answers together with the two largest logits of their first tokens, for the margins of flips,
and an error for logits that are no numbers.

Both are taken on the device and read back once, behind the ids: nothing waits in between. The model
itself is not touched, and an arm that is only timed does not pay for it.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessorList

from bench.arms.finite import FiniteWatch, not_finite
from bench.arms.models import Answerer, Checkpoint
from bench.evaluation.runs.margins import TOKENS, Tops
from hybrid import HybridConfig, HybridLlava
from hybrid.state import State


class TopLogits(FiniteWatch):
    """Sees the logits of each step; keeps the two largest of the first `TOKENS` steps, and of all
    whether they are finite."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[Tensor] = []

    def see(self, logits: Tensor) -> None:
        """logits: [B, V]."""
        super().see(logits)
        if len(self.steps) < TOKENS:
            self.steps.append(logits.topk(2, dim=-1).values.float())  # [B, 2]

    def read(self, new_ids: Tensor, end_ids: list[int]) -> list[Tops]:
        """One a sample. new_ids: [B, t] as generated, padded behind each sample's end.

        Raises:
            BadLogits: some up to a sample's end are not finite.
        """
        logits = torch.stack(self.steps, dim=1).tolist()  # [B, min(T, TOKENS), 2]
        bad = self.first_bad()
        tops = []
        for row, (ids, pairs) in enumerate(zip(new_ids.tolist(), logits, strict=True)):
            end = next((i for i, id in enumerate(ids) if id in end_ids), len(ids) - 1)
            step = bad[row]
            if step is not None and step <= end:  # behind its end nobody reads them
                raise BadLogits(row, step)
            length = min(end + 1, len(pairs))
            tops.append(Tops(tuple(ids[:length]), tuple(map(tuple, pairs[:length]))))
        return tops


class BadLogits(Exception):
    """Those of this step of this row of a batch."""

    def __init__(self, row: int, step: int) -> None:
        super().__init__(row, step)
        self.row, self.step = row, step


class WatchedLlava(HybridLlava):
    """`HybridLlava` whose logits are seen before each token is chosen from them.

    Attributes:
        forced: of the last batch, [B] int64, merges that a schedule forced; None without one.
    """

    def __init__(self, checkpoint: Checkpoint, config: HybridConfig) -> None:
        super().__init__(checkpoint.llava, config)
        self.watch = TopLogits()
        self.forced: Tensor | None = None

    @torch.inference_mode()
    def select(self, state: State) -> None:
        self.watch.see(state.logits)
        self.forced = state.trace.visual.forced
        super().select(state)


class RecordingAnswerer(Answerer):
    """An `Answerer` that also says how near its answers were to being other ones.

    Args:
        arm: what errors call it.

    Attributes:
        forced: of the last batch, for each sample the merges that a schedule forced on its image;
            None without a schedule.
    """

    def __init__(self, checkpoint: Checkpoint, config: HybridConfig | None, *, arm: str) -> None:
        super().__init__(checkpoint, config)
        self.arm, self.config = arm, config
        self.watched = None if config is None else WatchedLlava(checkpoint, config)
        self.hybrid = self.watched
        self.forced: list[int] | None = None
        ends = checkpoint.llava.generation_config.eos_token_id
        self.end_ids: list[int] = ends if isinstance(ends, list) else [] if ends is None else [ends]

    def answer_recorded(
        self, batch: dict[str, Any], max_new_tokens: int, samples: Sequence[str]
    ) -> list[tuple[str, Tops]]:
        """For each sample of what `encode` returned its answer, and the tops of its tokens.

        samples: what errors call them.

        Raises:
            UserError: logits are not finite, naming arm, dtype, and the first layer that is so.
        """
        watch = TopLogits()
        if self.watched is not None:
            self.watched.watch = watch
            ids = self.new_ids(batch, max_new_tokens)
            forced = self.watched.forced
            self.forced = None if forced is None else forced.tolist()
        else:
            seeing = LogitsProcessorList([watch])
            ids = self.new_ids(batch, max_new_tokens, logits_processor=seeing)
        try:
            tops = watch.read(ids, self.end_ids)
        except BadLogits as bad:
            raise not_finite(
                self.llava,
                self.config,
                batch,
                bad.row,
                bad.step,
                arm=self.arm,
                sample=samples[bad.row],
            ) from None
        return list(zip(self.texts(ids), tops, strict=True))
