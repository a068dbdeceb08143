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
    """

    hidden: Tensor
    position_ids: Tensor
    valid: Tensor
    virtual: Unmerging | None = None


@dataclass(frozen=True)
class Trace:
    """What was merged, ranked and kept; device tensors that the prefill made anyway.

    Attributes:
        visual: merged tokens: which patch owns which slot, and representatives.
        layout: where each token of the reduced sequence comes from.
        position_ids: of the layers up to the aggregation layer, [B, L].
        scores: [B, N] float32, the ranking row over visual slots; None without pruning.
        kept: slots that stayed; None without pruning.
        pruned_position_ids: of the layers behind the aggregation layer.
    """

    visual: VisualTokens
    layout: Layout
    position_ids: Tensor
    scores: Tensor | None
    kept: Kept | None
    pruned_position_ids: Tensor


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
        spans: long layers, and short ones if there was pruning.
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
