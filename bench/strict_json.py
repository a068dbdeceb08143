"""JSON from outside: what has two meanings, no end or no number is an error, and one error type."""

import json
import math
from typing import Any


def parse(text: str | bytes) -> Any:
    """The document.

    Raises:
        ValueError: not JSON or not UTF-8, nested too deeply, a key twice in one object, a number
            that is none or beyond all bounds.
    """
    try:
        return json.loads(
            text, object_pairs_hook=_unique, parse_constant=_refuse, parse_float=_finite
        )
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"{next(k for k in keys if keys.count(k) > 1)!r} stands there twice")
    return found


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no number that was measured")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is beyond all bounds")
    return number
