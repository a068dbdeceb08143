"""`scores.json`, read back; `bench.tasks.Score.to_json` writes it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from bench.base.reading import Unreadable, read_object
from bench.base.shapes import Number, checked


@dataclass(frozen=True)
class Scored:
    """What of it is used, each where it is there."""

    recipe: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Number] = field(default_factory=dict)


SHAPE = TypeAdapter(Scored)


def read_scores(path: Path) -> dict[str, Any]:
    """As it is, once all that `Scored` names is what it should be. Raises Unreadable."""
    document = read_object(path)
    try:
        checked(SHAPE, document)
    except ValueError as error:
        raise Unreadable(path, f"holds no scores ({error})") from None
    return document
