"""Flips that rounding explains, told apart from real ones by the logit margin.

Two arms answer alike up to one token. There the first arm's logits put its token `a` above the
other's `b` by at least its margin (largest minus second largest logit), and the second arm's put
`b` above `a` by at least its own. Between the arms, `a` against `b` has thus moved by at least the
sum of both margins. If rounding alone moves it as much, the flip is a near-tie: another batch
size or kernel could have caused it. Near-ties are counted and shown, never forgiven.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from bench.evaluation.runs.margins import Tops

EPSILON = {"float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}  # spacing at 1
# What rounding moves the difference of an answer's two largest logits by, in spacings at the
# larger of them: measured on the tiny model between batches of 16 and of 1 over 240 prompts, in
# float32 at most 5.4 to 6.9 by instruction set and 12.4 without oneDNN (the median is 1.1 to 1.3
# everywhere), 3.3 in bfloat16 and 1.3 in float16. For logits near 20 in float16 this is 0.31;
# lighteval forgives 0.05 for one model's margin alone (LOGIT_TIE_EPSILON).
SPACINGS = 16


@dataclass(frozen=True, kw_only=True)
class Flips:
    """Lost or gained questions by what flipped them. missing: margins were not recorded."""

    real: int
    near_tie: int
    missing: int

    def said(self) -> str:
        """As it stands behind a count of flips."""
        if self.missing and not self.real + self.near_tie:
            return "margins not recorded"
        unknown = f" + {self.missing} of unrecorded margin" if self.missing else ""
        return f"{self.real} real + {self.near_tie} near-tie{unknown}"


def is_near_tie(before: Tops, after: Tops, epsilon: float) -> bool | None:
    """Whether rounding explains that two answers differ; None if they first do so behind the
    tokens that were recorded. epsilon: of the coarser of the arms' types."""
    places = range(min(len(before.ids), len(after.ids)))
    place = next((i for i in places if before.ids[i] != after.ids[i]), None)
    if place is None:
        return None
    pairs = (before.logits[place], after.logits[place])
    moved = sum(top - second for top, second in pairs)
    scale = max(abs(logit) for pair in pairs for logit in pair)
    return moved <= SPACINGS * epsilon * scale


def flip_is_near_tie(
    rows: Collection[int], before: Mapping[int, Tops], after: Mapping[int, Tops], epsilon: float
) -> bool | None:
    """Whether rounding explains that a question flipped; None if that was not recorded.

    rows: those of its rows that are right in one arm and wrong in the other. All of them must be
    near-ties: one real row would have flipped the question alone.
    """
    ties = [
        is_near_tie(before[row], after[row], epsilon) if row in before and row in after else None
        for row in rows
    ]
    if False in ties:
        return False
    return None if None in ties or not ties else True


def count_flips(near_ties: Iterable[bool | None]) -> Flips:
    """near_ties: of each flipped question what `flip_is_near_tie` says."""
    counts = Counter(near_ties)
    return Flips(real=counts[False], near_tie=counts[True], missing=counts[None])
