r"""Commands as they can be typed again: one line each, whatever its words hold.

`shlex.join` keeps a line break as it is, and shows escape sequences to a terminal that obeys them;
such words become `$'...\012...'`, which bash, ksh and zsh read.
"""

import os
import shlex
from collections.abc import Iterable

from bench.base.printable import printable


def shell_line(words: Iterable[str]) -> str:
    """A line that a shell reads as exactly these words."""
    return " ".join(map(quoted, words))


def quoted(word: str) -> str:
    """One word of a command."""
    if printable(word) == word:
        return shlex.quote(word)
    return "$'" + "".join(map(_escaped, word)) + "'"


def _escaped(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if printable(character) == character:
        return character
    return "".join(f"\\{byte:03o}" for byte in os.fsencode(character))
