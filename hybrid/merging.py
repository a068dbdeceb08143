"""DToMe: merge similar visual tokens inside a CLIP block, on static padded shapes.

The rule is DyMU's (https://arxiv.org/abs/2504.17040, section 3.1), which thresholds the bipartite
soft matching of ToMe (https://arxiv.org/abs/2210.09461). Every tensor keeps its size whatever the
image shows: merged-away tokens become padding at the end, so the host never has to wait to learn
how many are left, and a sample's merges do not depend on its neighbours in the batch.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hybrid.masks import log_size_bias

# Released by DyMU for CLIP ViT-L/14-336 ("72out"), one per block; see docs in DyMU's repository.
THRESHOLDS_72OUT = (
    0.99609375, 0.97265625, 0.94140625, 0.91015625, 0.87890625, 0.87890625,
    0.87890625, 0.84765625, 0.84765625, 0.87890625, 0.84765625, 0.84765625,
    0.87890625, 0.87890625, 0.91015625, 0.91015625, 0.91015625, 0.91015625,
    0.94140625, 0.87890625, 0.87890625, 0.97265625, 0.99609375, 0.81640625,
)  # fmt: skip


@dataclass(frozen=True)
class Tokens:
    """The tokens of a batch between two merges; CLS is slot 0, padding stands at the end.

    Attributes:
        features: [B, T, D], the tower's dtype.
        size: [B, T] float32, patches merged into each token; 0 marks padding.
        owner: [B, P] int64, the slot that patch p is in.
        forced: [B] int64, merges below the threshold so far that a capacity asked for; None where
            nobody counts them.
    """

    features: Tensor
    size: Tensor
    owner: Tensor
    forced: Tensor | None = None

    @classmethod
    def unmerged(cls, features: Tensor) -> "Tokens":
        """CLS and one token per patch: features [B, 1 + P, D]."""
        batch, slots, _ = features.shape
        owner = torch.arange(1, slots, device=features.device).expand(batch, -1)
        return cls(features, features.new_ones(batch, slots, dtype=torch.float32), owner)

    def first(self, slots: int) -> "Tokens":
        """The same in so many slots; only padding may stand behind them."""
        return replace(self, features=self.features[:, :slots], size=self.size[:, :slots])

    def attention_bias(self) -> Tensor:
        """Proportional attention: log(size) for each key, -inf for padding: [B, 1, 1, T]."""
        return log_size_bias(self.size, self.features.dtype)


def at_least_float32(tensor: Tensor) -> Tensor:
    """Half precision is widened; float32, and float64 where goldens are made, stay as they are."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def rows(table: Tensor, index: Tensor) -> Tensor:
    """Rows [B, L, D] of table [B, R, D] at index [B, L]."""
    return table.gather(1, index[..., None].expand(-1, -1, table.shape[-1]))


def bipartite_soft_matching(metric: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Match every even token with its most similar odd token.

    Args:
        metric: [B, T, C], what similarity is measured on; CLS at slot 0.
        valid: [B, T] bool, padding at the end.

    Returns:
        similarity [B, ceil(T/2)] float32 or wider, the cosine to the best partner, at most 1, -inf
        for CLS, padding and tokens without a partner; partner [B, ceil(T/2)] int64, an index among
        the odd tokens.
    """
    metric = torch.nn.functional.normalize(at_least_float32(metric), dim=-1)
    even, odd = metric[:, 0::2], metric[:, 1::2]
    scores = even @ odd.transpose(1, 2)  # [B, ceil(T/2), floor(T/2)]
    allowed = valid[:, 0::2, None] & valid[:, None, 1::2]
    scores = scores.masked_fill(~allowed, float("-inf"))
    similarity, partner = scores.max(dim=-1)
    is_cls = torch.arange(similarity.shape[1], device=metric.device) == 0
    # Cosines of equal tokens can round above 1, which a threshold of 1 must not see.
    return similarity.clamp(max=1.0).masked_fill(is_cls, float("-inf")), partner


def merge(tokens: Tokens, metric: Tensor, threshold: float, capacity: int | None = None) -> Tokens:
    """One DToMe step: merge each even token into its partner where similarity > threshold.

    Survivors are reordered as DyMU does (surviving even tokens, then the odd ones), because the
    next block's even/odd split acts on that order; a sample of which nothing merges keeps its own.
    CLS never merges. At most (n-1)//2 tokens merge, since only even tokens other than CLS can.

    Args:
        tokens: T slots.
        metric: [B, T, C], the block's keys averaged over heads.
        threshold: cosine similarity that must be exceeded; nothing exceeds 1.0.
        capacity: also merge the most similar pairs below the threshold, until at most this many
            tokens (CLS counted) are left or no even token is left to merge.
    """
    valid, forced = tokens.size > 0, tokens.forced
    similarity, partner = bipartite_soft_matching(metric, valid)
    merged = similarity > threshold  # [B, E]
    if capacity is not None:
        surplus = valid.sum(1, keepdim=True) - capacity
        order = similarity.argsort(dim=1, descending=True, stable=True)
        rank = torch.empty_like(order).scatter_(1, order, _arange_like(order))
        needed = (rank < surplus) & (similarity != float("-inf"))
        if forced is not None:
            forced = forced + (needed & ~merged).sum(dim=1)
        merged = merged | needed

    odd_slots = tokens.size[:, 1::2].shape[1]
    slot = torch.arange(odd_slots, device=metric.device)
    into = (partner[..., None] == slot) & merged[..., None]  # [B, E, O]
    even = at_least_float32(tokens.features[:, 0::2])
    odd = at_least_float32(tokens.features[:, 1::2])
    weight = into.transpose(1, 2).to(even.dtype)
    even_size, odd_size = tokens.size[:, 0::2], tokens.size[:, 1::2]
    size = odd_size + (weight.float() @ even_size[..., None]).squeeze(-1)
    total = odd * odd_size[..., None] + weight @ (even * even_size[..., None])
    mean = total / size.clamp(min=1.0)[..., None]

    sizes = tokens.size.clone()
    sizes[:, 0::2].masked_fill_(merged, 0.0)
    sizes[:, 1::2] = size

    # A stable sort keeps each ascending: even survivors (0), odd tokens (1), what is gone (2).
    # Where nothing merged, all are 0 but padding, and each slot stays where it was.
    slots = _arange_like(sizes)
    parity = slots & merged.any(dim=1, keepdim=True)  # the last bit, or 0
    order = parity.masked_fill(sizes == 0, 2).argsort(dim=1, stable=True)  # new slot -> old slot
    moved = torch.empty_like(order).scatter_(1, order, slots)
    # Patches of a merged token are now where its partner is.
    into_slot = moved[:, 1::2].gather(1, partner)
    moved[:, 0::2] = torch.where(merged, into_slot, moved[:, 0::2])

    # A token that took nothing in keeps its features bit for bit.
    grown = (size > odd_size)[..., None]
    features = tokens.features.clone()
    features[:, 1::2] = torch.where(grown, mean.to(features.dtype), features[:, 1::2])
    return Tokens(
        features=rows(features, order),
        size=sizes.gather(1, order),
        owner=moved.gather(1, tokens.owner),
        forced=forced,
    )


def spread(merges: int, blocks: int) -> tuple[int, ...]:
    """So many merges over so many blocks, in whole numbers: the first ones merge what is over."""
    each, over = divmod(merges, max(blocks, 1))
    return tuple(each + (block < over) for block in range(blocks))


@dataclass(frozen=True)
class VisualTokens:
    """What the tower hands on, in raster order of `position`; padding at the end.

    Attributes:
        features: [B, N, D].
        position: [B, N] int64, the representative: the lowest patch of the group (0 for padding).
        size: [B, N] float32, patches merged into the token (0 for padding).
        valid: [B, N] bool.
        owner: [B, P] int64, the slot that patch p ended up in.
        forced: [B] int64, merges below their block's threshold, since a schedule left no more room;
            None without a schedule.
    """

    features: Tensor
    position: Tensor
    size: Tensor
    valid: Tensor
    owner: Tensor
    forced: Tensor | None = None


def in_raster_order(tokens: Tokens, capacity: int) -> VisualTokens:
    """Drop CLS and sort the rest by representative, into `capacity` slots.

    The caller makes sure that at most `capacity` patch tokens are valid.
    """
    batch, patches = tokens.owner.shape
    slots = tokens.size.shape[1] - 1
    owner = tokens.owner - 1  # CLS was slot 0
    position = owner.new_full((batch, slots), patches)
    position = position.scatter_reduce(1, owner, _arange_like(owner), reduce="amin")
    order = position.argsort(dim=1, stable=True)[:, :capacity]
    rank = torch.zeros_like(position).scatter_(1, order, _arange_like(order))
    position = position.gather(1, order)
    valid = position < patches
    return VisualTokens(
        features=rows(tokens.features[:, 1:], order),
        position=position.masked_fill(~valid, 0),
        size=tokens.size[:, 1:].gather(1, order),
        valid=valid,
        owner=rank.gather(1, owner),
        forced=tokens.forced,
    )


def _arange_like(index: Tensor) -> Tensor:
    """0..n-1 along the last dimension of index [B, n], for each row."""
    return torch.arange(index.shape[-1], device=index.device).expand_as(index)
