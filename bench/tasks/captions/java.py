"""Java programs that pycocoevalcap ships: found, run with a deadline, and blamed in one line."""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from bench.base.errors import UserError

# Else Java reads and writes as the locale says: ? for what that lacks, and a comma in numbers.
LOCALE = (
    "-Dfile.encoding=UTF-8",
    *("-Duser.language=en", "-Duser.country=US"),
    *("-Duser.language.format=en", "-Duser.country.format=US"),
)
# Java obeys these behind, or in front of, its command line: heap, locale and agents of others.
OPTION_VARIABLES = ("_JAVA_OPTIONS", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS")


def require_java(purpose: str) -> str:
    """The path of `java`; raises `UserError` where there is none."""
    java = shutil.which("java")
    if java is None:
        raise UserError(
            f"{purpose} needs Java (8 or later), and there is no java on PATH; install a JRE, or"
            " score with --tokeniser raw"
        )
    return java


def java_version(java: str) -> int:
    """Java's major version: 8 for "1.8.0_292", 17 for "17.0.15"; 0 if it doesn't say."""
    text = run_java([java, "-version"], purpose="java -version", timeout_s=60).stderr
    found = re.search(r'version "(?:1\.)?(\d+)', text.decode(errors="replace"))
    return int(found.group(1)) if found else 0


def java_environment() -> dict[str, str]:
    """This process's, without the variables that would change how a program computes or prints."""
    return {name: text for name, text in os.environ.items() if name not in OPTION_VARIABLES}


def beside_module(module: str, name: str) -> Path:
    """The file `name` beside an installed Python module; raises `UserError` if it is not there."""
    spec = importlib.util.find_spec(module)
    path = Path(spec.origin if spec and spec.origin else ".").parent / name
    if not path.is_file():
        raise UserError(f"{path} is missing; install pycocoevalcap again")
    return path


def run_java(
    command: Sequence[str], *, purpose: str, timeout_s: float, stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """Runs to the end; raises `UserError` if that fails or takes longer than `timeout_s`."""
    try:
        done = subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            timeout=timeout_s,
            env=java_environment(),
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UserError(f"{purpose} was stopped after {timeout_s:.0f} seconds") from None
    except OSError as err:
        raise UserError(f"{purpose}: {command[0]} can't be run: {err.strerror or err}") from err
    if done.returncode != 0:
        raise UserError(
            f"{purpose} failed with exit code {done.returncode}: {complaint(done.stderr)}"
        )
    return done


def complaint(stderr: bytes) -> str:
    """The line of a Java program's output that says what went wrong."""
    lines = [line.strip() for line in stderr.decode(errors="replace").splitlines()]
    lines = [line for line in lines if line]
    telling = [line for line in lines if re.search(r"Error|Exception", line)]
    return (telling or lines or ["it said nothing"])[0]
