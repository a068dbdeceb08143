"""Stand in for a made model's stages: what goes in and comes out is looked at, or said again."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from torch import Tensor

from hybrid import HybridLlava
from hybrid.merging import Tokens
from hybrid.stages import Choice, Read, Seen


@dataclass
class Spy:
    """A stage, watched; said, given and replayed are of hand-over and language stages.

    Attributes:
        stage: the method's own.
        said: what it gave at each call: scores, or a `Choice`.
        given: what it was handed at each call.
        edited: names of tensors that it changed in place.
        replayed: said in turn in place of asking the stage, if there are any.
    """

    stage: Any
    said: list[Any] = field(default_factory=list)
    given: list[Any] = field(default_factory=list)
    edited: list[str] = field(default_factory=list)
    replayed: list[Any] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:  # layer, keep, slots_of
        return getattr(self.stage, name)

    def choose(self, seen: Seen) -> Choice:
        choice: Choice = self._asked("choose", seen)
        return choice

    def scores(self, read: Read) -> Tensor:
        scores: Tensor = self._asked("scores", read)
        return scores

    def merge(self, block: int, tokens: Tokens, keys: Tensor) -> Tokens:
        given = {**dict(tensors_of(tokens, "tokens.")), "keys": keys}
        merged: Tokens = self._watched(given, "merge", block, tokens, keys)
        return merged

    def finish(self, tokens: Tokens, patches: int) -> Tokens:
        given = dict(tensors_of(tokens, "tokens."))
        finished: Tokens = self._watched(given, "finish", tokens, patches)
        return finished

    def smaller(self, pixels: Tensor, side: int) -> Tensor:
        resized: Tensor = self._watched({"pixels": pixels}, "smaller", pixels, side)
        return resized

    def _asked(self, function: str, given: Any) -> Any:
        if self.replayed:
            return self.replayed.pop(0)
        said = self._watched(dict(tensors_of(given)), function, given)
        self.said.append(said)
        self.given.append(given)
        return said

    def _watched(self, tensors: Mapping[str, Tensor], function: str, *given: Any) -> Any:
        before = {name: tensor.clone() for name, tensor in tensors.items()}
        said = getattr(self.stage, function)(*given)
        for name, tensor in tensors.items():
            if not tensor.equal(before[name]) and name not in self.edited:
                self.edited.append(name)
        return said


def tensors_of(given: Any, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """Tensors that a stage is handed, by name: `visual.position`."""
    for name, value in _parts(given):
        if isinstance(value, Tensor):
            yield f"{prefix}{name}", value
        elif name in ("visual", "standing"):
            yield from tensors_of(value, f"{name}.")


def _parts(given: Any) -> Iterator[tuple[str, Any]]:
    if hasattr(given, "_asdict"):
        named: Mapping[str, Any] = given._asdict()
        yield from named.items()
    else:
        yield from ((each.name, getattr(given, each.name)) for each in fields(given))


def spied(model: HybridLlava) -> list[Spy]:
    """Put a spy in front of each of the model's hand-over and language stages, in that order."""
    hand_over = [Spy(stage) for stage in model.stages.hand_over]
    language = [Spy(stage) for stage in model.stages.language]
    stands_in: Any = {"hand_over": tuple(hand_over), "language": tuple(language)}
    model.stages = replace(model.stages, **stands_in)
    return [*hand_over, *language]


def spied_below(model: HybridLlava) -> list[Spy]:
    """The same in front of what acts on the image and in the tower."""
    spies, vision = list[Spy](), model.vision
    for place in ("image", "stage"):
        if (stage := getattr(vision, place)) is not None:
            spies.append(Spy(stage))
            setattr(vision, place, spies[-1])
    return spies
