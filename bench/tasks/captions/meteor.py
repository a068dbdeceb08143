"""METEOR 1.5, by the jar that pycocoevalcap ships."""

import contextlib
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence

from bench.base.errors import UserError
from bench.tasks.captions.java import (
    LOCALE,
    beside_module,
    complaint,
    java_environment,
    require_java,
)

MAX_HEAP = "-Xmx2G"  # pycocoevalcap's; the paraphrase table alone takes half of it
START_S = 120  # to read that table, on a slow disk


def meteor(references: Mapping[int, Sequence[str]], captions: Mapping[int, str]) -> float:
    """METEOR of tokenised captions, from the sums over all of them; no mean over images.

    The program answers line for line: statistics for each caption, then scores for all
    statistics. A line break or ||| in a caption would make it wait for ever or answer something
    else; `ptb_tokenise` leaves neither.

    Raises:
        UserError: Java is missing, or the program stops or hangs.
    """
    java = require_java("METEOR")
    jar = beside_module("pycocoevalcap.meteor.meteor", "meteor-1.5.jar")
    command = [java, *LOCALE, MAX_HEAP, "-jar", str(jar), "-", "-", "-stdio", "-l", "en", "-norm"]
    questions = [
        " ||| ".join(("SCORE", *references[index], caption)) for index, caption in captions.items()
    ]
    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=java_environment(),
            )
        except OSError as err:
            raise UserError(f"METEOR: {java} can't be run: {err.strerror or err}") from err
        # A killed program ends its output, so that no read below waits longer than this.
        deadline = threading.Timer(START_S + len(captions) / 10, process.kill)
        deadline.start()
        try:
            statistics = _ask(process, questions, answers=len(captions))
            scores = _ask(process, [" ||| ".join(("EVAL", *statistics))], answers=len(captions) + 1)
            return float(scores[-1])
        except (EOFError, ValueError):
            process.kill()
            process.wait()
            errors.seek(0)
            raise UserError(f"METEOR stopped half-way: {complaint(errors.read())}") from None
        finally:
            deadline.cancel()
            process.kill()
            process.wait()
            for pipe in filter(None, (process.stdin, process.stdout)):
                with contextlib.suppress(OSError):  # unwritten text for a program that is gone
                    pipe.close()


def _ask(process: "subprocess.Popen[bytes]", lines: Sequence[str], *, answers: int) -> list[str]:
    """Writes `lines` while it reads: a program whose answers nobody reads stops reading, too."""
    stdin, stdout = process.stdin, process.stdout
    if stdin is None or stdout is None:  # only to tell mypy: both are pipes
        raise EOFError

    def write() -> None:
        with contextlib.suppress(OSError):  # the program is gone; the reader sees its output end
            stdin.writelines(f"{line}\n".encode(errors="replace") for line in lines)
            stdin.flush()

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    read = []
    for _ in range(answers):
        line = stdout.readline()
        if not line:
            raise EOFError
        read.append(line.decode().strip())
    writer.join()
    return read
