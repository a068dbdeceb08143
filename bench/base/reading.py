"""Files from outside, read whole or refused: one way to open them, one error for what is none.

A pipe would be waited for, a device has no end, and a file may be larger than the memory: so the
file is opened without waiting, must be a regular one, and has a bound. Standard library only:
`bench.report.pull_request` runs where nothing is installed.
"""

import errno
import os
import stat
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any

from bench.base.errors import UserError
from bench.base.strict_json import demand_shallow, parse

DOCUMENT = 1 << 26  # bytes of a document; what is written here has a hundredth of that
RECORDS = 1 << 30  # bytes of a file with a line or row a sample
MEND = "write it anew, or give another file"
LONGEST = 200  # characters of what a parser says


class Unreadable(UserError):
    """There is no file to read, or not what it should hold.

    Attributes:
        path: the file.
        reason: why, in words that follow a path: "is a folder".
        missing: whether nothing is there at all.
    """

    def __init__(self, path: Path, reason: str, mend: str = MEND, missing: bool = False) -> None:
        super().__init__(path, reason, mend, missing)
        self.path, self.reason, self.missing = path, " ".join(reason.split()), missing
        self._mend = mend

    def __str__(self) -> str:
        return f"{self.path} {self.reason}: {self._mend}"


@contextmanager
def opened(path: Path, *, most: int = RECORDS, mend: str = MEND) -> Iterator[BufferedReader]:
    """The file, open for reading; links are followed.

    Args:
        most: bytes that it may have.
        mend: what the user can do, for the error's line.

    Raises:
        Unreadable: it is not there, no regular file, or too large.
    """
    try:
        file = open(path, "rb", opener=_at_once)  # noqa: SIM115  the errors below are its own
    except IsADirectoryError as error:
        raise Unreadable(path, "is a folder", mend) from error
    except (OSError, ValueError) as error:  # ValueError: a NUL or half a character in the name
        if isinstance(error, OSError) and error.errno == errno.ENXIO:
            raise Unreadable(path, "is no regular file", mend) from error
        missing = isinstance(error, FileNotFoundError)
        raise Unreadable(path, f"can't be read ({_why(error)})", mend, missing) from error
    with file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise Unreadable(path, "is no regular file", mend)
        if found.st_size > most:
            raise _too_large(path, found.st_size, most, mend)
        yield file


def read_bytes(path: Path, *, most: int = DOCUMENT, mend: str = MEND) -> bytes:
    """All of the file. Raises Unreadable as `opened` does."""
    with opened(path, most=most, mend=mend) as file:
        try:
            content = file.read(most + 1)
        except OSError as error:
            raise Unreadable(path, f"can't be read ({_why(error)})", mend) from error
    if len(content) > most:  # it grew, or does not say how large it is
        raise _too_large(path, len(content), most, mend)
    return content


def read_utf8(path: Path, *, most: int = DOCUMENT, mend: str = MEND) -> str:
    """Its text, without a byte order mark. Raises Unreadable as `opened` does, and for other bytes
    than UTF-8."""
    content = read_bytes(path, most=most, mend=mend)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(path, f"is not UTF-8 (byte {error.start})", mend) from error


def read_json(path: Path, *, most: int = DOCUMENT, mend: str = MEND) -> Any:
    """The document, by `strict_json`. Raises Unreadable as `read_utf8` does, and for what that
    refuses."""
    text = read_utf8(path, most=most, mend=mend)
    try:
        return parse(text)
    except ValueError as error:
        raise Unreadable(path, f"is not JSON ({_why(error)})", mend) from error


def read_object(path: Path, *, most: int = DOCUMENT, mend: str = MEND) -> dict[str, Any]:
    """The object that the whole document is. Raises Unreadable as `read_json` does, and for
    another one."""
    document = read_json(path, most=most, mend=mend)
    if not isinstance(document, dict):
        raise Unreadable(path, "is not a JSON object", mend)
    return document


def read_toml(path: Path, *, most: int = DOCUMENT, mend: str = MEND) -> dict[str, Any]:
    """The tables. Raises Unreadable as `read_utf8` does, and for what is no TOML."""
    text = read_utf8(path, most=most, mend=mend)
    try:
        tables = tomllib.loads(text)
        demand_shallow(tables)
        return tables
    except RecursionError as error:
        raise Unreadable(path, "is nested too deeply", mend) from error
    except ValueError as error:  # TOMLDecodeError, and whole numbers of 5000 digits
        raise Unreadable(path, f"is not TOML ({_why(error)})", mend) from error


def _at_once(path: str, flags: int) -> int:
    """Opened without waiting for whoever writes, and never as this process's terminal."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


def _why(error: Exception) -> str:
    said = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return said if len(said) <= LONGEST else f"{said[:LONGEST]}..."


def _too_large(path: Path, size: int, most: int, mend: str) -> Unreadable:
    return Unreadable(path, f"has {size:,} bytes, more than the {most:,} that are read", mend)
