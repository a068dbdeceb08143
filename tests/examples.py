"""Every command that help, README and docs tell people to type."""

import re
import shlex
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import typer

from bench.cli import app

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
PROGRAM = re.compile(
    r"^(?:[A-Za-z_]+=\S+ )*(?:\.venv/bin/)?"
    r"(?:(?P<torchrun>torchrun .*?)-m bench|(?P<bench>python -m bench|bench)|(?P<nox>nox))"
    r"(?: |$)"
)


class Example(NamedTuple):
    """program: bench, torchrun or nox; words: behind it; where: it stands."""

    program: str
    words: tuple[str, ...]
    where: str

    @property
    def line(self) -> str:
        """The same however it was quoted, commented or wrapped."""
        return shlex.join((self.program, *self.words))


def examples() -> list[Example]:
    """All of them; a command alone in running text is its name, and no example of it."""
    found = [
        Example(program, words, where)
        for where, text in _texts()
        for program, words in _commands(text)
        if not (where.endswith("text") and program == "bench" and _is_name(words))
    ]
    return list({example.line: example for example in found}.values())


def commands() -> Iterator[tuple[str, Any]]:
    """Each command's name and the command, groups' included."""
    yield from _below("", typer.main.get_command(app))


def _below(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield name, command
    for child, below in getattr(command, "commands", {}).items():
        yield from _below(f"{name} {child}".strip(), below)


def _is_name(words: tuple[str, ...]) -> bool:
    return " ".join(words) in dict(commands())


def _texts() -> Iterator[tuple[str, str]]:
    """Where, and what stands there as one command line or several joined by `&&`."""
    for name, command in commands():
        help_text = textwrap.dedent(command.help or "")
        for part in re.findall(
            r"python -m bench .*?(?=python -m bench|\n\s*\n|\Z)", help_text, re.DOTALL
        ):
            yield f"bench {name} --help", " ".join(part.split())
        for parameter in command.params:
            yield from _inline(f"bench {name} --help, text", getattr(parameter, "help", "") or "")
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        where = page.relative_to(ROOT).as_posix()
        for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                yield where, line
        yield from _inline(f"{where}, text", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def _inline(where: str, text: str) -> Iterator[tuple[str, str]]:
    for quoted in re.findall(r"`([^`]+)`", text):
        yield where, " ".join(quoted.split())


def _commands(text: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    for part in text.split("&&"):
        if found := PROGRAM.match(part.strip()):
            [program] = [name for name, matched in found.groupdict().items() if matched]
            words = shlex.split(part.strip()[found.end() :], comments=True)
            if words or program == "nox":
                yield program, tuple(words)
