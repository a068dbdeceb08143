"""The user's home folder: a container's user may have none."""

from pathlib import Path

from bench.errors import UserError


def expanded(path: str | Path) -> Path:
    """`path` with a leading `~` replaced.

    Raises:
        UserError: it begins with one, and this or that user has no home folder.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:  # a user id without HOME and without a passwd entry, or no such user
        raise UserError(f"{path}: there is no home folder for ~: give the whole path") from None
