"""What a user should know of a checkpoint and need not mend: one line on stderr, said once."""

import os
import sys

_said: set[str] = set()
_silent = False


def remark(line: str) -> None:
    """Say `line`, if this process has not said it yet; of several ranks only the first does."""
    if _silent or line in _said or os.environ.get("RANK", "0") != "0":
        return
    _said.add(line)
    print(f"note: {line}", file=sys.stderr)


def silence_remarks() -> None:
    """For a process whose parent loads the same checkpoint, and says it all."""
    global _silent  # noqa: PLW0603  one process is silent or is not
    _silent = True
