"""The grid of a sweep: what to keep, and whether to merge, or by which methods."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.arms.own import known, own_of
from bench.arms.published import METHODS
from bench.base.errors import UserError
from hybrid.config import Keep

CHANCE = "random-tokens"  # what a method has to beat at its own budget
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


def parse_methods(keep: str, methods: str) -> list[Cell]:
    """`18,36` and `divprune,visionzip`: every pair, and beside them chance at each budget.

    Raises UserError and ConfigError as `parse_grid` does, and for a name that is no method's.
    """
    keeps = [Keep.parse(text, source="--keep") for text in _split("--keep", keep)]
    if not all(k.prunes for k in keeps):
        raise UserError(f"--keep {keep!r}: with --methods each is a budget, and none is not one")
    named = [known(name) for name in _split("--methods", methods)]
    for name in named:
        if name not in METHODS and own_of(name) is None:
            raise UserError(f"--methods {name!r}: choose from {', '.join(METHODS)}")
    return [Cell(k, False, name) for k in keeps for name in dict.fromkeys([CHANCE, *named])]


def _split(option: str, text: str) -> Sequence[str]:
    values = [part.strip() for part in text.split(",")]
    if not all(values):
        raise UserError(f"{option} {text!r}: give at least one value, with commas between them")
    twice = next((value for value in values if values.count(value) > 1), None)
    if twice is not None:
        raise UserError(f"{option} {text!r}: {twice} stands there twice")
    return values
