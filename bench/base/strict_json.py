"""JSON from outside: what has two meanings, no end or no number is an error, and one error type."""

import json
import math
from collections import Counter
from typing import Any

LEVELS = 100  # of nesting; more, and whoever shows or compares the document runs out of stack
DIGITS = 300  # of a whole number; one of more is no float


def parse(text: str | bytes) -> Any:
    """The document.

    Raises:
        ValueError: not JSON or not UTF-8, nested too deeply, a key twice in one object, a number
            that is none or beyond all bounds.
    """
    if isinstance(text, bytes):  # else json takes UTF-16 and UTF-32, too
        text = text.decode("utf-8-sig")
    try:
        document = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_refuse,
            parse_float=_finite,
            parse_int=_whole,
        )
        if text.count("[") + text.count("{") > LEVELS:
            demand_shallow(document)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return document


def demand_shallow(document: Any) -> None:
    """Raises RecursionError for a list or object within more than `LEVELS` others."""
    level = [document]
    for _ in range(LEVELS + 1):
        inside: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                inside += value.values()
            elif isinstance(value, list):
                inside += value
        if not inside:
            return
        level = inside
    raise RecursionError


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        key = next(key for key, count in counts.items() if count > 1)
        raise ValueError(f"{key!r} stands there twice")
    return found


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no number that was measured")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is beyond all bounds")
    return number


def _whole(text: str) -> int:
    if len(text) > DIGITS:
        raise ValueError(f"a whole number of {len(text)} digits is beyond all bounds")
    return int(text)
