"""What stands between prefill and decode, and what is left to look at when both are done."""

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from hybrid.cache import KVCache
from hybrid.merging import VisualTokens
from hybrid.pruning import Kept
from hybrid.rope import Layout, Unmerging


@dataclass(frozen=True)
class Sequence:
    """What a run of layers works on.

    Attributes:
        hidden: [B, R, D].
        position_ids: [B, L] int64 of the places that attention sees.
        valid: [B, L] bool, False for padding. L is R, or S under virtual unmerging.
        virtual: only under virtual unmerging.
        deeper: [B, R, D] each, what is added to `hidden` behind the layers to come, the first
            behind the next one; 0 where text stands.
    """

    hidden: Tensor
    position_ids: Tensor
    valid: Tensor
    virtual: Unmerging | None = None
    deeper: tuple[Tensor, ...] = ()


@dataclass(frozen=True)
class Cut:
    """What one language stage did.

    Attributes:
        scores: [B, N] float32 or wider, what the N slots in front of it were ranked by.
        kept: which of these stayed.
        position_ids: behind it.
    """

    scores: Tensor
    kept: Kept
    position_ids: Tensor


@dataclass(frozen=True)
class Trace:
    """What was merged, ranked and kept; device tensors that the prefill made anyway.

    Attributes:
        visual: merged tokens: which patch owns which slot, and representatives.
        layout: where each token of the reduced sequence comes from.
        position_ids: of the layers in front of the first language stage, [B, L].
        cuts: one for each language stage.
    """

    visual: VisualTokens
    layout: Layout
    position_ids: Tensor
    cuts: tuple[Cut, ...]
    dropped: bool = True

    @property
    def scores(self) -> Tensor | None:
        """Of the first language stage."""
        return self.cuts[0].scores if self.cuts else None

    @property
    def kept(self) -> Kept | None:
        """The slots of `visual` that the last layers see; None without a language stage."""
        if not self.cuts:
            return None
        kept = self.cuts[0].kept
        for cut in self.cuts[1:]:
            # Where tokens were only hidden, the slots are still those of the beginning.
            slot = kept.slot.gather(1, cut.kept.slot) if self.dropped else cut.kept.slot
            kept = Kept(slot.masked_fill(~cut.kept.valid, 0), cut.kept.valid)
        return kept

    @property
    def pruned_position_ids(self) -> Tensor:
        """Of the last layers."""
        return self.cuts[-1].position_ids if self.cuts else self.position_ids


class Answer(NamedTuple):
    """New token ids [B, t] int64, pad tokens behind a sample's end, and how they came about."""

    new_ids: Tensor
    trace: Trace


@dataclass(frozen=True)
class Span:
    """What decode has to know of layers that saw the same tokens at prefill.

    Attributes:
        layers: their indices.
        valid: [B, L + T] bool, which cache slots may be attended to; decode fills it up.
        next_position: [B] int64, the position id of the first new token.
    """

    layers: range
    valid: Tensor
    next_position: Tensor


@dataclass(frozen=True)
class State:
    """A prefilled prompt. Decode changes its tensors in place and never their shapes.

    Attributes:
        logits: [B, V] of the next token.
        token: [B] int64, the token chosen last.
        ids: [B, T] int64, the tokens chosen so far.
        finished: [B] bool, samples that have ended.
        step: [1] int64, tokens decoded so far.
        cache: keys and values.
        spans: one, and one more for each language stage.
        trace: what happened to the visual tokens.
    """

    logits: Tensor
    token: Tensor
    ids: Tensor
    finished: Tensor
    step: Tensor
    cache: KVCache
    spans: tuple[Span, ...]
    trace: Trace
