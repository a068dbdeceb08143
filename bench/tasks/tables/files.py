"""Data come from files: a pipe would be waited for, and a device has no end."""

from pathlib import Path

from bench.base.errors import UserError


def demand_file(path: Path) -> None:
    """Raises `UserError` if `path` is there and is no regular file; links are followed."""
    try:
        if path.exists() and not path.is_file():
            raise UserError(
                f"{path}: {'a folder' if path.is_dir() else 'a pipe or device'}, no file"
            )
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from error
