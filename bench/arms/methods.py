"""What there is to say of each method: where it acts, whose it is, what its budget means."""

import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass

from bench.arms.published import METHODS
from hybrid import Keep
from hybrid.stages import HandOverStage, ImageStage, Staged, TowerStage

LAYERS = 32  # of a 7B language model, for which a method lists its stages


@dataclass(frozen=True)
class Described:
    """A method in a few words; paper is empty for what has none."""

    name: str
    place: str
    budget: str
    paper: str
    rule: str


def described() -> Sequence[Described]:
    """All of `hybrid.methods.METHODS`; the words are those of their files."""
    return [_described(name, make(Keep(count=36))) for name, make in METHODS.items()]


def _described(name: str, method: object) -> Described:
    module = inspect.getdoc(inspect.getmodule(type(method))) or ""
    own = (inspect.getdoc(type(method)) or "").split("\n\n")[0]
    title = module.partition(":")[0].lower().replace("-", "").replace("+", "plus")
    alone = title == name.replace("-", "")
    budget = re.search(r"keep: ([^.;]+)", own)
    paper = re.search(r"https://arxiv.org/abs/[0-9.]+[0-9]", module) if alone else None
    rule = (module.partition(":")[2] if alone else own).strip().partition("\n\n")[0]
    return Described(
        name=name,
        place=_place(method),
        budget=" ".join(budget[1].split()) if budget else "tokens that are handed on",
        paper=paper[0] if paper else "",
        rule=" ".join(rule.split()).rstrip(".").split(". ")[0],
    )


def _place(method: object) -> str:
    if isinstance(method, Staged):
        layers = ", ".join(str(getattr(stage, "layer", "?")) for stage in method.stages(LAYERS))
        return f"in front of layers {layers} of {LAYERS}"
    if isinstance(method, ImageStage):
        return "on the image, in front of the tower"
    if isinstance(method, TowerStage):
        return "in the tower"
    if isinstance(method, HandOverStage):
        return "between tower and language model"
    return f"in front of layer {getattr(method, 'layer', '?')}"
