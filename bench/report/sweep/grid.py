"""The grid of a sweep: what to keep, and whether to merge, or which methods."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bench.arms.own import known, own_of
from bench.arms.published import METHODS
from bench.base.errors import UserError
from hybrid.config import Keep

CHANCE, SMALLER = "random-tokens", "downsample"
PLAIN = {CHANCE: "as many tokens by chance", SMALLER: "a smaller image"}
"""What a method has to beat at as many tokens a layer."""
ALL = "all"
BUDGETED = ("fastv", "hybrid", *METHODS)  # dymu has no budget: the image decides
MERGE = {"on": True, "off": False}
ARMS = {  # (merges, prunes) -> the arm of `bench.arms.models` that does just that
    (True, True): "hybrid",
    (False, True): "fastv",
    (True, False): "dymu",
    (False, False): "off",
}


@dataclass(frozen=True)
class Cell:
    """One reduction of the grid."""

    keep: Keep
    merge: bool
    method: str = ""

    @property
    def arm(self) -> str:
        return self.method or ARMS[self.merge, self.keep.prunes]

    @property
    def name(self) -> str:
        """Of its folder and of its timings."""
        if self.method:
            return f"keep-{self.keep}-{self.method}"
        return f"keep-{self.keep}-merge-{'on' if self.merge else 'off'}"


@dataclass(frozen=True)
class Asked:
    """What is to be swept: cells of the grid, or methods at budgets or averages."""

    cells: Sequence[Cell] = ()
    methods: Sequence[str] = ()
    keeps: Sequence[Keep] = ()
    averages: Sequence[float] = ()


def parse_grid(keep: str, merge: str) -> list[Cell]:
    """`18,36,none` and `on,off`: every pair, in that order.

    Raises UserError for an empty list, a merge that is neither on nor off, or a value that stands
    there twice; `hybrid.config.ConfigError` for a keep that is none.
    """
    keeps = [Keep.parse(text, source="--keep") for text in _split("--keep", keep)]
    merges = _split("--merge", merge)
    for text in merges:
        if text not in MERGE:
            raise UserError(f"--merge {text!r}: give on, off, or both with a comma between them")
    return [Cell(k, MERGE[m]) for m in merges for k in keeps]


def parse_methods(methods: str) -> list[str]:
    """`divprune,fastv,mine.py:Mine`, or `all` that ship: arms that have a budget, each once.

    Raises UserError for an empty list, a name that stands there twice or is no such arm's.
    """
    if methods.strip() == ALL:
        return list(BUDGETED)
    named = [known(name) for name in _split("--methods", methods)]
    for name in named:
        if name not in BUDGETED and own_of(name) is None:
            raise UserError(f"--methods {name!r}: choose from {', '.join((ALL, *BUDGETED))}")
    return list(dict.fromkeys(named))


def parse_budgets(keep: str) -> list[Keep]:
    """`18,36`: budgets of methods. Raises UserError and ConfigError as `parse_grid` does."""
    keeps = [Keep.parse(text, source="--keep") for text in _split("--keep", keep)]
    if not all(k.prunes for k in keeps):
        raise UserError(f"--keep {keep!r}: each must be a budget, and none is not one")
    return keeps


def parse_averages(average: str) -> list[float]:
    """`36,18,9`: visual tokens that a layer of the language model gets.

    Raises UserError for what is no number above 0, or stands there twice.
    """
    numbers = []
    for text in _split("--average", average):
        if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,3})?", text) or not float(text):
            raise UserError(f"--average {text!r}: give visual tokens a layer, such as 36 or 9.5")
        numbers.append(float(text))
    return numbers


def _split(option: str, text: str) -> Sequence[str]:
    values = [part.strip() for part in text.split(",")]
    if not all(values):
        raise UserError(f"{option} {text!r}: give at least one value, with commas between them")
    twice = next((value for value in values if values.count(value) > 1), None)
    if twice is not None:
        raise UserError(f"{option} {text!r}: {twice} stands there twice")
    return values
