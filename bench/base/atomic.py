"""Write a whole file or nothing."""

import os
import tempfile
from pathlib import Path

from bench.base.errors import UserError


def write_atomically(path: Path, content: bytes) -> None:
    """Replaces `path` in one step; a crash or a full disk leaves what was there before.

    Raises:
        UserError: the file can't be written.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)  # mkstemp gives 0600, but results are there to be shared
        temporary.replace(path)
    except OSError as err:
        raise UserError(f"{path}: can't be written: {err.strerror or err}") from err
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
