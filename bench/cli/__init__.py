"""What does a user type? `python -m bench ...`: run and score, compare, and the gates.

Exit codes: 0 pass, 1 a gate failed, 2 wrong usage, data or environment, 3 unsure.
"""

import os
import sys
import traceback
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from bench.base.checkout import foreign_code, imported_packages
from bench.base.errors import UserError
from bench.base.installation import how_to_install
from bench.base.printable import printable
from bench.base.remark import remarks
from bench.cli import (
    accuracy,
    bisect,
    cost,
    demo,
    edited,
    gatecheck,
    golden,
    gpucheck,
    history,
    init,
    latency,
    method,
    methods,
    mutants,
    runs,
    sweep,
    syncs,
)
from bench.cli.streams import chain, discard_output, lenient_streams
from bench.cli.usage import PROGRAM, OneLineUsage, is_program

INTERRUPTED = 130

app = typer.Typer(
    cls=OneLineUsage,
    no_args_is_help=True,
    add_completion=is_program(),
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    help="Run, score, time and gate LLaVA-1.5 with reduced visual tokens. "
    "Exit codes: 0 pass, 1 a gate failed, 2 usage, data or environment, 3 unsure.",
)

for commands in (
    init,
    runs,
    accuracy,
    latency,
    golden,
    cost,
    syncs,
    demo,
    edited,
    history,
    sweep,
    methods,
    method,
    mutants,
    bisect,
    gatecheck,
    gpucheck,
):
    app.add_typer(commands.app)


def _tell_version(asked: bool) -> None:
    if not asked:
        return
    try:
        print(PROGRAM, version(PROGRAM))
    except PackageNotFoundError:
        raise UserError(f"{PROGRAM} is not installed, only found here: pip install -e .") from None
    raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_tell_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """What stands in front of a command."""
    foreign = foreign_code(Path.cwd().resolve(), imported_packages())
    if foreign and not {"-h", "--help"} & set(sys.argv):
        raise UserError(foreign)


def main() -> None:
    """Entry point: what the user can mend becomes one line on stderr and exit code 2.

    Ctrl-C is one line, too, and exit code 130. An exception that nobody foresaw keeps its
    traceback, but not Python's exit code for it, 1: that says that a gate failed.
    """
    os.environ["MPLBACKEND"] = "agg"  # a notebook's would not be found, and no plot needs a window
    try:
        with lenient_streams(), remarks():
            app()
    except SystemExit as ended:
        if (exited := _of_own_method(ended)) is not None:  # its code would pass for a verdict
            _fail(f"error: {exited}")
        if ended.code == INTERRUPTED:
            print(f"interrupted: {_how_to_go_on(ended)}", file=sys.stderr)
        raise
    except UserError as error:
        _fail(f"error: {error}")
    except OSError as error:
        where = "" if error.filename is None else f"{error.filename}: "
        _fail(f"error: {where}{error.strerror or error}")
    except ModuleNotFoundError as error:
        missing = how_to_install(error)
        _fail(f"error: {missing}" if missing else traceback.format_exc())
    except Exception as error:
        # Here, not above: `hybrid` loads torch, which takes longer than to score a file.
        from hybrid.config import ConfigError

        said = error if isinstance(error, ConfigError) else _of_own_method(error)
        _fail(traceback.format_exc() if said is None else f"error: {said}")


def _of_own_method(error: BaseException) -> UserError | None:
    """The line for what a user's own method raised; None for an exception of any other origin."""
    own = sys.modules.get("bench.arms.own")  # whoever asked for one has loaded it
    said: UserError | None = None if own is None else own.raised_by_own(error)
    return said


def _how_to_go_on(ended: SystemExit) -> str:
    """What whoever was interrupted said of it; typer puts two exceptions around that."""
    said = next((str(e) for e in chain(ended) if isinstance(e, KeyboardInterrupt)), "")
    return said or "nothing was judged, run it again"


def _fail(line: str) -> NoReturn:
    with suppress(OSError):  # stderr may be full, too: then the exit code is all that is left
        print(printable(line.rstrip("\n")), file=sys.stderr, flush=True)
    discard_output()
    raise SystemExit(2) from None
