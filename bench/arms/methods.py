"""What there is to say of each method: where it acts, whose it is, what its budget means."""

import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass

from bench.arms import own
from bench.arms.published import ARMS, METHODS
from hybrid import Keep
from hybrid.merging import THRESHOLDS_72OUT
from hybrid.methods.dtome import DToMe
from hybrid.methods.fastv import FastV
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
    """DyMU and FastV, `hybrid.methods.METHODS`, and what other packages' entry points name; the
    words are those of their files.

    Raises:
        UserError: an entry point does not load.
    """
    keep = Keep(count=36)
    theirs = {name: own.of_entry_point(point) for name, point in own.installed().items()}
    listed = {
        "dymu": DToMe(THRESHOLDS_72OUT),
        "fastv": FastV(keep),
        **{name: make(keep) for name, make in METHODS.items()},
        **{name: each.of(keep) for name, each in theirs.items() if name not in ARMS},
    }
    return [_described(name, method) for name, method in listed.items()]


def _described(name: str, method: object) -> Described:
    module = inspect.getdoc(inspect.getmodule(type(method))) or ""
    whole = inspect.getdoc(type(method)) or ""
    title = module.partition(":")[0].lower().replace("-", "").replace("+", "plus")
    alone = name.replace("-", "") in title.replace("'s", "").split()
    budget = re.search(r"keep: ([^.;]+)", whole)
    paper = re.search(r"https://arxiv.org/abs/[0-9.]+[0-9]", module) if alone else None
    rule = (module.partition(":")[2] if alone else whole).strip().partition("\n\n")[0]
    if budget:
        means = " ".join(budget[1].split())
    else:
        means = "tokens that are handed on" if hasattr(method, "keep") else "not used"
    return Described(
        name=name,
        place=_place(method),
        budget=means,
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
