"""The papers' rules, each a function: what merges, what is kept, how a position turns a vector."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, inf

import torch
from torch import Tensor

from hybrid.config import Keep


@dataclass(frozen=True)
class Token:
    """A visual token: its feature [D], and the patches it is the mean of (none for CLS)."""

    feature: Tensor
    patches: tuple[int, ...]  # ascending; the first one is the representative

    @property
    def size(self) -> int:
        """How many tokens this one is the mean of."""
        return max(1, len(self.patches))


@dataclass(frozen=True)
class Step:
    """One merge of one image.

    Attributes:
        tokens: after the merge, surviving even tokens first, then the odd ones; in the order they
            came in where nothing merged.
        best: for each even token but CLS, the cosine to its most similar odd token.
        pairs: (even, odd) places that merged, in the order before.
        margin: how far each cosine may be off before any decision made here changes.
        forced: how many of the pairs are not above the threshold.
    """

    tokens: list[Token]
    best: list[float]
    pairs: list[tuple[int, int]]
    margin: float
    forced: int = 0


def merge_step(
    tokens: Sequence[Token], keys: Tensor, threshold: float, capacity: int | None = None
) -> Step:
    """DToMe's merge (DyMU section 3.1) on ToMe's bipartite soft matching (ToMe section 3).

    Args:
        tokens: CLS first.
        keys: [n, C], what similarity is measured on: the block's keys, averaged over heads.
        threshold: the cosine that must be exceeded; nothing exceeds 1.
        capacity: the most tokens, CLS counted, that may be left; the most similar pairs merge below
            the threshold to get there.
    """
    count = len(tokens)
    metric = keys / keys.norm(dim=1, keepdim=True)
    cosine = (metric @ metric.T).clamp(max=1.0).tolist()  # equal tokens can round above 1
    even, odd = range(0, count, 2), range(1, count, 2)
    partner = {a: max(odd, key=lambda b: cosine[a][b]) for a in even[1:]}  # first of equals
    best = {a: cosine[a][b] for a, b in partner.items()}
    ranked = sorted(best, key=lambda a: -best[a])  # stable: the lower place first among equals

    similar = [a for a in ranked if best[a] > threshold][: (count - 1) // 2]
    forced = ranked[: max(0, count - capacity)] if capacity is not None else []
    pairs = [(a, partner[a]) for a in sorted({*similar, *forced})]
    below = len(pairs) - len(similar)

    undecided = [a for a in best if a not in forced and threshold < 1]
    margin = min((abs(best[a] - threshold) for a in undecided), default=inf)
    if 0 < len(forced) < len(ranked):
        margin = min(margin, (best[ranked[len(forced) - 1]] - best[ranked[len(forced)]]) / 2)
    for a, b in pairs:
        second = max((cosine[a][c] for c in odd if c != b), default=-inf)
        margin = min(margin, (best[a] - second) / 2)

    if not pairs:  # DyMU's path for one image returns before it reorders
        return Step(list(tokens), list(best.values()), pairs, margin)
    gone = {a for a, _ in pairs}
    survivors = [tokens[a] for a in even if a not in gone]
    groups = [[tokens[b], *(tokens[a] for a, into in pairs if into == b)] for b in odd]
    merged = survivors + [_mean(g) for g in groups]
    return Step(merged, list(best.values()), pairs, margin, below)


def _mean(group: list[Token]) -> Token:
    """Size-weighted mean of tokens."""
    if len(group) == 1:
        return group[0]
    total = torch.stack([t.feature * t.size for t in group]).sum(dim=0)
    patches = sorted(p for t in group for p in t.patches)
    return Token(total / len(patches), tuple(patches))


def keep_best(scores: Sequence[float], keep: Keep) -> list[int]:
    """Which of the scores are kept: the best ones, the lower place among equals; ascending."""
    count = len(scores)
    if keep.count is not None:
        count = min(count, keep.count)
    elif keep.removed is not None:
        count = max(1, floor(count * (1 - keep.removed)))  # exact: a fraction, not a float
    return sorted(sorted(range(len(scores)), key=lambda i: -scores[i])[:count])


def rotate(x: Tensor, positions: Sequence[int], theta: float) -> Tensor:
    """RoPE: x [H, m, C] turned by its positions; dimension d pairs with d + C/2, as in Llama."""
    half = x.shape[-1] // 2
    precise = torch.promote_types(x.dtype, torch.float32)  # bfloat16 cannot count to 600
    frequency = theta ** (-torch.arange(half, dtype=precise) / half)
    angle = torch.tensor(positions, dtype=precise)[:, None] * frequency
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    low, high = x[..., :half], x[..., half:]
    return torch.cat([low * cos - high * sin, high * cos + low * sin], dim=-1)


def softmax_attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """softmax(q k / sqrt(C) + bias) v of [H, n, C] -> [n, H C], and the weights [H, n, n]."""
    weights = (q @ k.transpose(1, 2) / k.shape[-1] ** 0.5 + bias).softmax(dim=-1)
    return (weights @ v).transpose(0, 1).flatten(1), weights
