"""The rules of other methods, plainly: one sample, Python lists, one line a sentence of the paper.

What each is handed is what `hybrid.stages` hands its fast twin, in float64; what it gives is which
tokens stay. Ties go to the lower place.
"""

from collections.abc import Sequence
from math import ceil, isqrt

import torch
from torch import Tensor


def best(scores: Sequence[float], count: int) -> list[int]:
    """The places of the highest scores, ascending."""
    return sorted(sorted(range(len(scores)), key=lambda i: -scores[i])[:count])


def cosine(a: Tensor, b: Tensor) -> float:
    """Of two vectors."""
    return float(a @ b / (a.norm() * b.norm()))


def chance(patch: int, prompt: int) -> int:
    """A number of 32 bits that has nothing to do with the image: two words, well mixed."""
    word = ((patch + 1) * 0x9E3779B1 + prompt * 0x85EBCA6B) % 2**32
    for factor in (0x7FEB352D, 0x846CA68B):
        word = (word ^ word // 2**16) * factor % 2**32
    return word ^ word // 2**15


def visionzip(
    attention: Tensor, keys: Tensor, features: Tensor, dominant: int, contextual: int
) -> list[tuple[int, Tensor]]:
    """(patch, feature) of each token. attention [H, P] of CLS, keys [H, P, C], features [P, D].

    The patches that CLS attends to most stay. Of the others, in raster order, each step-th is a
    target; the rest join the target whose key is most like theirs, and add their mean to it.
    """
    stay = best(attention.sum(dim=0).tolist(), dominant)
    rest = [p for p in range(len(features)) if p not in stay]
    tokens = [(p, features[p]) for p in stay]
    if contextual:
        step = max(1, len(rest) // contextual)
        targets = rest[::step][:contextual]
        joined: dict[int, list[int]] = {t: [] for t in targets}
        mean = keys.mean(dim=0)
        for patch in rest:
            if patch not in joined:
                joined[max(targets, key=lambda t: cosine(mean[patch], mean[t]))].append(patch)
        for target, patches in joined.items():
            merged = sum(features[p] for p in patches) / len(patches) if patches else 0
            tokens.append((target, features[target] + merged))
    return sorted(tokens, key=lambda token: token[0])


def divprune(projected: Tensor, count: int) -> list[int]:
    """projected [N, D]: first the token whose nearest other is farthest, then always the one that
    is farthest from all that were chosen."""
    everyone = range(len(projected))

    def apart(i: int, j: int) -> float:
        return 1 - cosine(projected[i], projected[j])

    chosen = [
        max(everyone, key=lambda i: min((apart(i, j) for j in everyone if j != i), default=0))
    ]
    while len(chosen) < count:
        left = [i for i in everyone if i not in chosen]
        chosen.append(max(left, key=lambda i: min(apart(i, j) for j in chosen)))
    return sorted(chosen)


def dart(keys: Tensor, normed: Tensor, image: range, count: int) -> list[int]:
    """Places of the image that stay. keys [G, R, C] after RoPE, normed [R, D] behind the last norm.

    Four tokens of the image and four of the text behind it, those with the largest keys, are
    pivots; each in turn, the largest first, takes its share of the image's other tokens, those
    that are least like it.
    """
    size = keys.abs().sum(dim=(0, 2)).tolist()
    behind = range(image.stop, len(normed))
    pivots = sorted(image, key=lambda i: -size[i])[:4]
    asked = [*pivots, *sorted(behind, key=lambda i: -size[i])[:4]]
    stay = set(pivots)
    for pivot in asked:
        left = sorted(set(image) - stay)
        left.sort(key=lambda i: cosine(normed[i], normed[pivot]))
        stay |= set(left[: max(count - 4, 0) // 8])
    return sorted(i - image.start for i in stay)


def feather(query: Tensor, keys: Tensor, scaling: float) -> list[float]:
    """A score a visual token: query [H, C] of the last token, keys [H, N, C], before RoPE."""
    logits = (keys @ query[:, :, None])[..., 0] * scaling
    scores: list[float] = logits.softmax(dim=1).mean(dim=0).tolist()
    return scores


def downsampled(row: Sequence[float], count: int) -> list[float]:
    """A row of pixels made smaller, to `count` of them: bicubic (Keys, a = -0.5), its kernel as
    wide as the factor; at the ends, what is there weighs all."""

    def kernel(x: float) -> float:
        x = abs(x)
        if x < 1:
            return 1.5 * x**3 - 2.5 * x**2 + 1
        return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0

    factor = len(row) / count
    smaller = []
    for place in range(count):
        middle = (place + 0.5) * factor
        weights = [kernel((i + 0.5 - middle) / factor) for i in range(len(row))]
        total = sum(w * pixel for w, pixel in zip(weights, row, strict=True))
        smaller.append(total / sum(weights))
    return smaller


def stands_for(patches: int, count: int) -> list[list[int]]:
    """Which patches of the whole image each token of the smaller one stands for: those whose upper
    left corner its own patch covers."""
    side, across = isqrt(patches), isqrt(count)

    def covered(place: int) -> range:
        return range(ceil(place * side / across), ceil((place + 1) * side / across))

    return [
        [row * side + column for row in covered(high) for column in covered(wide)]
        for high in range(across)
        for wide in range(across)
    ]


def raters(visual: Tensor, text: Tensor) -> list[int]:
    """Places of the text behind the image that rate. visual [N, D] and text [T, D], as layer 0 is
    given them.

    Each visual token shares itself out among the text; who gets more than the mean rates.
    """
    shares = [(text @ token).softmax(dim=0) for token in visual]
    lean = [float(sum(share[t] for share in shares)) / len(shares) for t in range(len(text))]
    above = [t for t, share in enumerate(lean) if share > sum(lean) / len(lean)]
    return above or list(range(len(text)))


def sparsevlm(query: Tensor, keys: Tensor, rows: Sequence[int], scaling: float) -> list[float]:
    """A score for each of n tokens: what those at `rows` attend to it. query, keys [H, n, C]."""
    scores = [0.0] * keys.shape[1]
    for row in rows:
        logits = (keys[:, : row + 1] @ query[:, row, :, None])[..., 0] * scaling
        for token, weight in enumerate(logits.softmax(dim=1).mean(dim=0).tolist()):
            scores[token] += weight / len(rows)
    return scores


def prumerge(
    query: Tensor, keys: Tensor, features: Tensor, count: int, nearest: int
) -> list[tuple[int, Tensor]]:
    """(patch, feature) of each token. query [D] and keys [1 + P, D], CLS first, features [P, D].

    The patches that CLS attends to far more than to most stay; so do as many of the others, evenly
    spread, as there is room for but one. Each adds the patches that are most like it, and the one
    that is left over, at the best of those that were dropped, is the sum of these.
    """
    attention = (keys @ query / len(query) ** 0.5).softmax(dim=0)[1:]
    low, high = (float(attention.quantile(part)) for part in (0.25, 0.75))
    patches = range(len(features))
    outliers = [p for p in patches if attention[p] > high + 1.5 * (high - low)]
    outliers = sorted(outliers, key=lambda p: -attention[p])[: count - 1]
    others = [p for p in patches if p not in outliers]
    wanted = count - 1 - len(outliers)
    stay = outliers + [others[ceil(i * len(others) / wanted)] for i in range(wanted)]
    dropped = [p for p in patches if p not in stay]
    tokens = []
    for patch in stay:
        like = sorted(
            (p for p in patches if p != patch), key=lambda p: -cosine(keys[1 + patch], keys[1 + p])
        )
        added = [attention[p] * features[p] for p in like[:nearest]]
        tokens.append((patch, features[patch] + torch.stack(added).sum(dim=0)))
    rest = torch.stack([attention[p] * features[p] for p in dropped]).sum(dim=0)
    tokens.append((max(dropped, key=lambda p: float(attention[p])), rest))
    return sorted(tokens, key=lambda token: token[0])
