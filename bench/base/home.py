"""The user's home folder and the caches in it: a container's user may have neither."""

import logging
from pathlib import Path

from bench.base.errors import UserError


def home(setting: str) -> Path:
    """The home folder.

    Args:
        setting: the environment variable that can be set in its place, for the error's line.

    Raises:
        UserError: this user has none.
    """
    try:
        return Path.home()
    except RuntimeError:  # a user id without HOME and without a passwd entry
        raise UserError(
            f"there is no home folder: set {setting} to a folder that can be written"
        ) from None


def expanded(path: str | Path) -> Path:
    """`path` with a leading `~` replaced.

    Raises:
        UserError: it begins with one, and this or that user has no home folder.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:  # as above, or no such user
        raise UserError(f"{path}: there is no home folder for ~: give the whole path") from None


def quiet_matplotlib() -> None:
    """Keep what it says of its caches off stderr: without a folder to write it takes a temporary
    one, and draws the same."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
