"""`python -m bench ...`: run and score, compare, and the gates.

Exit codes: 0 pass, 1 a gate failed, 2 wrong usage, data or environment, 3 unsure.
"""

import sys
from typing import NoReturn

import typer

from bench.cli import (
    accuracy,
    bisect,
    cost,
    demo,
    gatecheck,
    golden,
    gpucheck,
    history,
    latency,
    mutants,
    runs,
    sweep,
    syncs,
)
from bench.cli.usage import OneLineUsage
from bench.errors import UserError

INTERRUPTED = 130

app = typer.Typer(
    cls=OneLineUsage,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    help="Run, score, time and gate LLaVA-1.5 with reduced visual tokens. "
    "Exit codes: 0 pass, 1 a gate failed, 2 usage, data or environment, 3 unsure.",
)

for commands in (
    runs,
    accuracy,
    latency,
    golden,
    cost,
    syncs,
    demo,
    history,
    sweep,
    mutants,
    bisect,
    gatecheck,
    gpucheck,
):
    app.add_typer(commands.app)


def main() -> None:
    """Entry point: what the user can mend becomes one line on stderr and exit code 2.

    Ctrl-C is one line, too, and exit code 130.
    """
    try:
        app()
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            print(f"interrupted: {_how_to_go_on(ended)}", file=sys.stderr)
        raise
    except UserError as error:
        _fail(error)
    except ValueError as error:
        # Here, not above: `hybrid` loads torch, which takes longer than to score a file.
        from hybrid.config import ConfigError

        if not isinstance(error, ConfigError):
            raise
        _fail(error)


def _how_to_go_on(ended: SystemExit) -> str:
    """What whoever was interrupted said of it; typer puts two exceptions around that."""
    error: BaseException | None = ended
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return str(error) if error and str(error) else "nothing was judged, run it again"


def _fail(error: Exception) -> NoReturn:
    print(f"error: {error}", file=sys.stderr)
    raise SystemExit(2) from None
