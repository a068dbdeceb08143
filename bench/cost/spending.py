"""What an arm spends on a prompt, in numbers that compare wherever its tokens end.

"64 tokens" is one thing in the tower, another between tower and language model, and a third behind
its eighth layer. The tokens that a layer gets on average, FLOPs, and bytes of keys and values are
the same thing everywhere.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter, with_config

from bench.base.shapes import MOST, Count, checked
from bench.tasks.task import NOT_RECORDED

TITLE = "budgets: a prompt of 64 words and an image"
COLUMNS = ("tokens", "a layer", "FLOPs", "cache")


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True)
class Budget:
    """Of a prompt of 64 words and an image; where it may have any size, of the profile's `image`.

    Attributes:
        tokens: visual tokens that the last layer of the language model gets.
        average: visual tokens that a layer gets.
        flops: of reading the prompt, tower and projector included, counted; None for a method that
            asks for values, so that it cannot be counted without any.
        cache_bytes: of all layers' keys and values behind the prompt.
    """

    tokens: Count
    average: Annotated[float, Field(ge=0, le=MOST)]
    flops: Count | None
    cache_bytes: Count

    @property
    def cells(self) -> list[str]:
        """In the order of COLUMNS."""
        flops = "not counted" if self.flops is None else scaled(self.flops)
        return [str(self.tokens), f"{self.average:.1f}", flops, f"{scaled(self.cache_bytes)}B"]


Budgets = Mapping[str, Budget]
"""By arm."""

_ONE: TypeAdapter[Budget | None] = TypeAdapter(Budget | None)
_ALL: TypeAdapter[dict[str, Budget] | None] = TypeAdapter(dict[str, Budget] | None)


def cells_of(budget: Budget | None) -> list[str]:
    """In the order of COLUMNS. None is of what was made before budgets were recorded."""
    return [NOT_RECORDED] * len(COLUMNS) if budget is None else budget.cells


def budget_in(document: Mapping[str, Any]) -> Budget | None:
    """What a run's document says that it spends; None if it does not say.

    Raises:
        ValueError: it says something else.
    """
    return checked(_ONE, document.get("budget"))


def budgets_in(document: Mapping[str, Any]) -> dict[str, Budget] | None:
    """As `budget_in`, of a report's arms."""
    return checked(_ALL, document.get("budgets"))


def budgets_json(budgets: Budgets) -> dict[str, dict[str, Any]]:
    """What `budgets_in` reads."""
    return {arm: asdict(budget) for arm, budget in budgets.items()}


def scaled(number: float) -> str:
    """Three digits and a prefix: 76_300_000 is `76.3 M`."""
    for prefix in ("", "k", "M", "G", "T"):
        if number < 999.5:
            return f"{number:.3g} {prefix}"
        number /= 1000
    return f"{number:.3g} P"
