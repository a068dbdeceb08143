"""What a user should know of a checkpoint and need not mend: a line on stderr, said once a command.

Of several ranks only the first says it.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_SAID: ContextVar[set[str] | None] = ContextVar("_SAID", default=None)  # None: by no command
_SILENT: ContextVar[bool] = ContextVar("_SILENT", default=False)


def remark(line: str) -> None:
    """Say `line`, unless the command around this has said it, or is silent."""
    said = _SAID.get()
    if _SILENT.get() or (said is not None and line in said) or os.environ.get("RANK", "0") != "0":
        return
    if said is not None:
        said.add(line)
    print(f"note: {line}", file=sys.stderr)


@contextmanager
def remarks(*, silent: bool = False) -> Iterator[None]:
    """A command: each of its remarks is said once, whatever was said before.

    silent: for one whose parent loads the same checkpoint, and says it all.
    """
    said, quiet = _SAID.set(set()), _SILENT.set(silent)
    try:
        yield
    finally:
        _SAID.reset(said)
        _SILENT.reset(quiet)
