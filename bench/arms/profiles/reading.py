"""From a profile's file to its settings; what is wrong with it becomes one line in our words."""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import is_dataclass
from difflib import get_close_matches
from itertools import zip_longest
from pathlib import Path
from typing import Any, get_args, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from bench.arms.profiles.settings import ProfileFile, Words
from bench.base.errors import UserError
from bench.base.reading import read_toml

LARGEST = 1 << 20  # bytes; a profile has two thousand
SHOWN = 60  # characters of a wrong value
LISTED = 6  # faults in one message
Location = Sequence[int | str]


def read_document(path: Path) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises:
        UserError: it is not there, no file, too large, not UTF-8, or not TOML.
    """
    return read_toml(path, most=LARGEST, mend="a profile is a small .toml file in UTF-8")


def parse(document: dict[str, Any], path: Path) -> ProfileFile:
    """The settings in `document`.

    Raises:
        UserError: naming every setting that is missing, unknown or wrong, and what is allowed.
    """
    try:
        context = {"folder": path.parent}
        return TypeAdapter(ProfileFile).validate_python(document, context=context)
    except ValidationError as error:
        faults = [_told(fault) for fault in error.errors()]
    more = f"; and {len(faults) - LISTED} more" if len(faults) > LISTED else ""
    raise UserError(f"{path}: {'; '.join(faults[:LISTED])}{more}")


def shown(value: Any) -> str:
    """A value as TOML writes it, on one line and not too long."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except (ValueError, RecursionError):
        text = "a value of many digits or levels"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def key_of(location: Location) -> str:
    """As a user would find it in the file: `gates.latency.batch-8.hybrid.answer`."""
    parts: list[str] = []
    for part in location:
        if part == "[key]":
            continue
        if isinstance(part, int) and parts and parts[-1] == "bounds":
            parts[-1] = f"batch-{part}"
        elif isinstance(part, int):
            parts[-1] += f"[{part}]"
        else:
            parts.append(part if re.fullmatch(r"[\w-]{1,60}", part) else shown(part))
    return ".".join(parts)


def _told(fault: ErrorDetails) -> str:
    kind, location, value = fault["type"], fault["loc"], fault["input"]
    key, place = key_of(location), setting_at(location)
    if kind == "file":
        return f"{key}: {fault['msg']}"
    if kind == "missing":
        if location[-1] == "bounds":
            key = f"{key_of(location[:-1])}.batch-N"
        return f"{key} is missing: {_allowed(place, key)}"
    if kind == "unexpected_keyword_argument":
        near = get_close_matches(str(location[-1]), _keys(setting_at(location[:-1])), n=1)
        return f"{key} is no setting" + (f"; did you mean {near[0]}?" if near else "")
    if location[-1] == "[key]":
        return f"{key} is no setting: {_allowed(place, key)}"
    return f"{key} is {shown(value)}: {_allowed(place, key)}"


def setting_at(location: Location) -> Any:
    """The annotation of a setting, or the class of a table; None for a key that is none."""
    found: Any = ProfileFile
    for part, following in zip_longest(location, location[1:]):
        table = table_of(found)
        if table is not None:
            found = get_type_hints(table, include_extras=True).get(str(part))
            continue
        # Inside of the bounds: a mapping's keys and values.
        mapping = next(iter(get_args(found)), None)
        if len(get_args(mapping)) != 2:
            return found
        keys, values = get_args(mapping)
        if following == "[key]":
            return keys
        found = values
    return found


def table_of(annotation: Any) -> type | None:
    """The dataclass that an annotation allows, if it is a table of the file."""
    if is_dataclass(annotation) and isinstance(annotation, type):
        return annotation
    found = (table_of(part) for part in get_args(annotation))
    return next((table for table in found if table is not None), None)


def allowed_of(annotation: Any) -> str:
    """What a setting may be, in words; empty if nothing says so."""
    if table_of(annotation) is not None:
        return ""
    marks = getattr(annotation, "__metadata__", ())
    words = [mark.words for mark in marks if isinstance(mark, Words)]
    if words:
        return words[-1]
    return next((found for part in get_args(annotation) if (found := allowed_of(part))), "")


def _allowed(annotation: Any, key: str) -> str:
    return allowed_of(annotation) or f"a table, [{key}]"


def _keys(annotation: Any) -> list[str]:
    table = table_of(annotation)
    return [] if table is None else list(get_type_hints(table))
