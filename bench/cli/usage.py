"""What a mistyped command line gets: one line like every other error, and where to read on."""

from typing import Any

import typer
from typer.core import TyperGroup

from bench.errors import UserError

# typer raises click's exceptions, or since 0.26 those of its own copy of click.
_UsageError: type[Exception] = typer.BadParameter.mro()[1]


class OneLineUsage(TyperGroup):
    """Commands whose usage errors are `UserError`s, not typer's boxes."""

    def make_context(self, *args: Any, **extra: Any) -> Any:
        """Parse this group's own options. Raises: UserError."""
        try:
            return super().make_context(*args, **extra)
        except _UsageError as error:
            raise _told(error) from error

    def invoke(self, ctx: Any) -> Any:
        """Parse and run a command of the group. Raises: UserError."""
        try:
            return super().invoke(ctx)
        except _UsageError as error:
            raise _told(error) from error


def _told(error: Any) -> Exception:
    """The line to print; the error itself where it stands for help that was printed already."""
    said = error.format_message().rstrip(".")
    if not said:
        return error  # type: ignore[no-any-return]
    return UserError(f"{said}; see {error.ctx.command_path} --help" if error.ctx else said)
