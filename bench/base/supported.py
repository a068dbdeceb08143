"""Where this project runs. Read before all else, so that Pythons which it refuses can read it."""

import sys
from typing import NoReturn

PLATFORM = "linux"
PYTHONS = ((3, 11), (3, 12))  # pyproject.toml's requires-python
_ASKED = "vlm-hybrid runs on Linux with Python 3.11 or 3.12"


def stop_elsewhere() -> None:
    """End with one line and exit code 2, before anything is imported that fails elsewhere."""
    here = ".".join(map(str, sys.version_info[:2]))
    if sys.platform != PLATFORM:
        _stop(f"{_ASKED}, and this is {sys.platform}: take a Linux machine or container")
    if sys.version_info[:2] not in PYTHONS:
        _stop(f"{_ASKED}, and this is Python {here}: make the environment of one of these")


def _stop(reason: str) -> NoReturn:
    print(f"error: {reason}", file=sys.stderr)
    raise SystemExit(2)
