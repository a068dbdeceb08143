"""One line of `predictions.jsonl`: `{"index": 241, "prediction": "B", ..}`."""

import re
from collections.abc import Mapping


def answer_in(record: object) -> tuple[int | None, str | None]:
    """Index and prediction of a line, None for what is no whole number or no text."""
    if not isinstance(record, Mapping):
        return None, None
    index, prediction = record.get("index"), record.get("prediction")
    text = isinstance(prediction, str) and not re.search("[\ud800-\udfff]", prediction)
    return index if is_whole(index) else None, prediction if text else None


def is_whole(value: object) -> bool:
    """Whether JSON has it as a whole number: neither 5.0 nor "5", nor true."""
    return isinstance(value, int) and not isinstance(value, bool)
