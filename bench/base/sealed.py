"""JSON documents that carry the hash of their own content.

A record that somebody edited is no record: a gate that passed on it, or failed, would judge the
edit and not the code. Only the command that makes a document can seal it.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.base.atomic import write_atomically
from bench.base.errors import UserError
from bench.base.reading import Unreadable, read_object

SEAL = "sha256"
_CHECKOUT = Path(__file__).parents[2] / "golden"
# Of all records. A wheel carries them inside of `bench`.
FOLDER = _CHECKOUT if _CHECKOUT.is_dir() else Path(__file__).parents[1] / "golden"


def write_sealed(path: Path, document: Mapping[str, Any], *, indent: int) -> None:
    """Write `document`, whole or not at all, with its hash in front."""
    sealed = {SEAL: _hash(document), **document}
    write_atomically(path, (json.dumps(sealed, indent=indent) + "\n").encode())


def read_sealed(path: Path, *, command: str) -> dict[str, Any]:
    """What `write_sealed` wrote.

    Raises:
        UserError: if there is nothing, or something else; `command` makes it anew.
    """
    try:
        document = read_object(path)
    except Unreadable as error:
        raise UserError(f"{path} cannot be read: restore it from git, or `{command}`") from error
    seal = document.pop(SEAL, None)
    if seal != _hash(document):
        raise edited(path, command)
    return document


def edited(path: Path, command: str) -> UserError:
    """The error for a file that is not as its command wrote it."""
    return UserError(
        f"{path} was edited by hand: restore it from git, or regenerate it with `{command}`"
    )


def _hash(document: Mapping[str, Any]) -> str:
    """Of the content: how it is indented, and the order of its keys, do not matter."""
    content = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(content.encode()).hexdigest()
