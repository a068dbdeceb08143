"""What a mistyped command line gets: one line like every other error, and where to read on.

And what people type from habit: `help`, `-h`, and a gate's other name.
"""

import sys
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from bench.base.errors import UserError
from bench.gates.names import gate_name

# typer raises click's exceptions, or since 0.26 those of its own copy of click.
_UsageError: type[Exception] = typer.BadParameter.mro()[1]


PROGRAM = "vlm-hybrid"
COMPLETION = ("--install-completion", "--show-completion")


def is_program() -> bool:
    """Whether this runs as the installed program: a shell completes nothing for `python -m`."""
    return Path(sys.argv[0]).name == PROGRAM


class OneLineUsage(TyperGroup):
    """Commands whose usage errors are `UserError`s, not typer's boxes."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any
    ) -> Any:
        """Parse this group's own options. Raises: UserError."""
        if args[:1] == ["help"]:
            args = [*args[1:], "--help"]
        if args and args[0].partition("=")[0] in COMPLETION and not is_program():
            raise UserError(f"shells complete the program and no `python -m`: {PROGRAM} {args[0]}")
        try:
            return super().make_context(info_name, args, parent, **extra)
        except _UsageError as error:
            raise _told(error) from error

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """By either of a gate's names."""
        return super().get_command(ctx, gate_name(cmd_name))

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
