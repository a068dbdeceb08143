"""What stdout and stderr can do to a command: lack a character, lose their reader, be full."""

import io
import os
import select
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

CLOSED_PIPE = 128 + 13  # what a shell says of a tool that SIGPIPE ended


@contextmanager
def lenient_streams() -> Iterator[None]:
    """A character that the terminal's or the log's encoding lacks is written as its escape.

    Whoever reads may leave (`| head`): then the command ends as others do, quietly and with the
    exit code of SIGPIPE, which is neither a pass nor a verdict.

    Raises:
        SystemExit: 141, if the reader left.
        OSError: stdout takes no more, such as on a full disk.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    pipes = _duplicates()
    try:
        try:
            yield
        finally:
            if sys.stdout is not None:  # closed by >&-
                sys.stdout.flush()
    except (OSError, SystemExit) as ended:
        # typer and rich turn a broken pipe into exit code 1, which here says that a gate failed.
        broken = [error for error in chain(ended) if isinstance(error, BrokenPipeError)]
        if broken and _reader_left(pipes):
            discard_output()
            raise SystemExit(CLOSED_PIPE) from None
        if broken:  # a pipe of the command's own
            raise broken[0] from None
        raise
    finally:
        for pipe in pipes:
            os.close(pipe)


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """The exception, and those that it was raised from or while handling."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:  # `raise error from error` is a ring
        seen.append(error)
        yield error
        error = error.__cause__ or error.__context__


def discard_output() -> None:
    """What a stream did not take goes nowhere: Python would try to write it again as it ends."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


def _duplicates() -> list[int]:
    """stdout and stderr as they are now: rich replaces one that broke by the null device."""
    found = []
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # there is none, or it is no file
            found.append(os.dup(stream.fileno()))
    return found


def _reader_left(pipes: Sequence[int]) -> bool:
    poll = select.poll()
    for pipe in pipes:
        poll.register(pipe, 0)  # asked for nothing, it still reports a closed other end
    return bool(poll.poll(0))
