"""What a report's page shows beside the tables; all of it optional."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from PIL import Image

from bench.cost.spending import Budget
from bench.report.sweep.result import Sweep
from bench.report.timing import Timing
from bench.timing.samples import Samples


class FlipCounts(Protocol):
    """Flips in one category of one level, such as `l2-category`; n questions in all."""

    @property
    def level(self) -> str: ...
    @property
    def category(self) -> str: ...
    @property
    def lost(self) -> int: ...
    @property
    def gained(self) -> int: ...
    @property
    def n(self) -> int: ...


@dataclass(frozen=True)
class Picture:
    """One image with a line below it."""

    image: Image.Image
    caption: str


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """samples: case, such as "batch 8" -> raw timings. sweep: of `bench sweep`. budgets: by arm."""

    timed: Sequence[Timing] = ()
    samples: Mapping[str, Samples] = field(default_factory=dict)
    flips: Sequence[FlipCounts] = ()
    pictures: Sequence[Picture] = ()
    sweep: Sweep | None = None
    budgets: Mapping[str, Budget] = field(default_factory=dict)
