"""The rules of other methods, plainly: one sample, Python lists, one line a sentence of the paper.

What each is handed is what `hybrid.stages` hands its fast twin, in float64; what it gives is which
tokens stay. Ties go to the lower place.
"""

from collections.abc import Sequence

from torch import Tensor


def best(scores: Sequence[float], count: int) -> list[int]:
    """The places of the highest scores, ascending."""
    return sorted(sorted(range(len(scores)), key=lambda i: -scores[i])[:count])


def cosine(a: Tensor, b: Tensor) -> float:
    """Of two vectors."""
    return float(a @ b / (a.norm() * b.norm()))


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
