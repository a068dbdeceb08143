"""What is reduced, and by how much: `Keep` (what FASTV_K says) and `HybridConfig`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from fractions import Fraction
from itertools import pairwise
from numbers import Integral
from typing import Literal, Self

RopeMode = Literal["logical", "compact", "virtual"]
PruneMode = Literal["drop", "mask"]
RankMode = Literal["attention", "random", "lowest"]
Within = Literal["prompt", "image"]

ALLOWED_KEEP = (
    "a whole number of visual tokens to keep (36), "
    "a share to remove strictly between 0 and 1 (0.7), or none"
)


class ConfigError(ValueError):
    """A setting that cannot be honoured, in one line that says which one and what is allowed."""


@dataclass(frozen=True)
class Keep:
    """How many visual tokens survive FastV: a count, a removed share, or all of them.

    The share is an exact fraction: in binary floats 0.8 of 50 would leave 9 tokens, not 10.
    """

    count: int | None = None
    removed: Fraction | None = None

    @classmethod
    def parse(cls, value: str | int | float | Self, *, source: str = "keep") -> Self:
        """Read `36`, `0.7` or `none`.

        Raises:
            ConfigError: naming the value, its `source` and what is allowed.
        """
        if isinstance(value, cls):
            return value
        text = str(value).strip()
        if text == "none":
            return cls()
        if re.fullmatch(r"[0-9]{1,18}", text) and int(text) >= 1:
            return cls(count=int(text))
        if re.fullmatch(r"0?\.[0-9]{1,400}", text) and Fraction(text) > 0:
            return cls(removed=Fraction(text))
        raise ConfigError(f"{source}={text!r} is not {ALLOWED_KEEP}")

    @classmethod
    def resolve(
        cls, argument: str | None, *, default: str | int | float, environ: Mapping[str, str]
    ) -> Self:
        """The one that counts: the argument, else `FASTV_K`, else the profile's default."""
        if argument is not None:
            return cls.parse(argument, source="--keep")
        if "FASTV_K" in environ:
            return cls.parse(environ["FASTV_K"], source="FASTV_K")
        return cls.parse(default, source="the profile's keep")

    @property
    def prunes(self) -> bool:
        """Whether pruning is on at all."""
        return self.count is not None or self.removed is not None

    def of(self, tokens: int) -> int:
        """How many of `tokens` visual tokens are kept: at least one, never more than there are."""
        if self.count is not None:
            return min(self.count, tokens)
        if self.removed is not None:
            return max(1, int(tokens * (1 - self.removed)))
        return tokens

    def __str__(self) -> str:
        if self.count is not None:
            return str(self.count)
        if self.removed is not None:
            return f"{float(self.removed):g}"
        return "none"


@dataclass(frozen=True, repr=False)
class HybridConfig:
    """The reduction of one model. The default reduces nothing: transformers' own LLaVA.

    Attributes:
        keep: visual tokens kept by FastV (https://arxiv.org/abs/2403.06764); text like FASTV_K.
        aggregation_layer: 0-based language-model layer whose last-token attention ranks the
            visual tokens; the layers after it run on the kept ones. FastV's own K is this plus 1.
        thresholds: DToMe merging thresholds (https://arxiv.org/abs/2504.17040), one cosine
            similarity per CLIP block; None turns merging off.
        capacity: visual slots N the language model sees; None means all patches.
        rope: `logical` keeps the position each token has in the unreduced sequence; `compact`
            renumbers 0..n-1 as a naive port does, for ablation; `virtual` is DyMU's virtual
            unmerging, where attention sees every patch position (only without pruning).
        prune: `drop` removes tokens after the aggregation layer, `mask` only hides them.
        rank: `attention` is FastV; `random` and `lowest` are controls at the same budget.
        method: stages of other methods, in the order in which they act (`hybrid.stages`); what
            `thresholds` and `keep` ask for is added to them.
        schedule: visual slots behind each CLIP block, one number a block, none above the one before
            it; None means all patches. Where more tokens are left, the most similar merge below
            the threshold. The tower's tensors have these sizes, so merging saves its time, too.
        within: what a budget inside the language model is of: all visual tokens of a `prompt`, or
            those of each `image` in it.

    Raises:
        ConfigError: for any value outside of what is described here.
    """

    keep: Keep | str | int | float = field(default_factory=Keep)
    aggregation_layer: int = 2
    thresholds: tuple[float, ...] | None = None
    capacity: int | None = None
    rope: RopeMode = "logical"
    prune: PruneMode = "drop"
    rank: RankMode = "attention"
    method: tuple[object, ...] = ()
    schedule: tuple[int, ...] | None = None
    within: Within = "prompt"

    def __post_init__(self) -> None:
        object.__setattr__(self, "keep", Keep.parse(self.keep))
        if not isinstance(self.aggregation_layer, Integral) or self.aggregation_layer < 0:
            raise ConfigError(
                f"aggregation_layer={self.aggregation_layer!r} must be a whole number from 0: "
                "ranking needs a layer's attention before it can prune"
            )
        if self.capacity is not None and self.capacity < 1:
            raise ConfigError(f"capacity={self.capacity} must be at least 1 visual slot")
        if self.thresholds is not None:
            thresholds = tuple(float(t) for t in self.thresholds)
            if any(not -1.0 <= t <= 1.0 for t in thresholds):  # a NaN fails this too
                raise ConfigError(
                    f"thresholds must be cosine similarities in [-1, 1], not {thresholds}"
                )
            object.__setattr__(self, "thresholds", thresholds)
        elif self.capacity is not None:
            raise ConfigError(
                f"capacity={self.capacity} merges tokens, so it needs thresholds "
                "(1.0 for each CLIP block merges only what the capacity forces)"
            )
        if self.schedule is not None:
            object.__setattr__(self, "schedule", _schedule(self.schedule, self.thresholds))
        _one_of("rope", self.rope, ("logical", "compact", "virtual"))
        object.__setattr__(self, "method", tuple(self.method))
        if self.rope == "virtual" and self.method:
            raise ConfigError("rope='virtual' attends to every patch: method must be empty")
        if self.rope == "virtual" and self.budget.prunes:
            raise ConfigError(
                f"rope='virtual' attends to every patch, so it cannot prune: keep={self.keep} "
                "must be none"
            )
        _one_of("prune", self.prune, ("drop", "mask"))
        _one_of("rank", self.rank, ("attention", "random", "lowest"))
        _one_of("within", self.within, ("prompt", "image"))

    @property
    def budget(self) -> Keep:
        """`keep`, parsed."""
        return Keep.parse(self.keep)

    def __repr__(self) -> str:
        """As ever; what came later only where it is given, since records of old hold this text."""
        later = {"schedule": None, "method": (), "within": "prompt"}
        shown = [(f.name, getattr(self, f.name)) for f in fields(self)]
        shown = [(name, value) for name, value in shown if later.get(name, ...) != value]
        return f"HybridConfig({', '.join(f'{name}={value!r}' for name, value in shown)})"


def _schedule(sizes: tuple[int, ...], thresholds: tuple[float, ...] | None) -> tuple[int, ...]:
    """Whole numbers from 1, none above the one before it, as many as there are thresholds."""
    sizes = tuple(sizes)
    if thresholds is None:
        raise ConfigError(
            f"schedule={sizes} merges tokens, so it needs thresholds "
            "(1.0 for each CLIP block merges only what the schedule forces)"
        )
    if any(isinstance(n, bool) or not isinstance(n, Integral) or n < 1 for n in sizes):
        raise ConfigError(f"schedule must be whole numbers of visual slots from 1, not {sizes}")
    for block, (before, after) in enumerate(pairwise(sizes)):
        if after > before:
            raise ConfigError(
                f"schedule rises from {before} to {after} behind block {block + 1}: "
                "tokens only become fewer"
            )
    if len(sizes) != len(thresholds):
        raise ConfigError(
            f"schedule has {len(sizes)} sizes and thresholds has {len(thresholds)} values: "
            "give one of each per CLIP block"
        )
    return tuple(int(n) for n in sizes)


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(f"{name}={value!r} must be one of {', '.join(allowed)}")
