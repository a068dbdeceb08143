"""The static half: spellings in source code that make the host wait, found without running it.

It knows spellings, not types: `bool(x)`, `print(x)` and indexing by a mask look like any other
Python, and are left to the detector. A line that may wait says so: `# sync-ok: the reason`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.base.errors import UserError
from bench.base.reading import read_utf8

_METHODS = {
    "item": "reads a value",
    "tolist": "reads all values",
    "numpy": "reads all values",
    "cpu": "copies to the host",
    "nonzero": "the size depends on the data",
    "argwhere": "the size depends on the data",
    "masked_select": "the size depends on the data",
    "unique": "the size depends on the data",
    "unique_consecutive": "the size depends on the data",
    "bincount": "the size depends on the data",
    "allclose": "reads the outcome",
    "equal": "reads the outcome",
    "new_tensor": "copies from pageable memory",
    "synchronize": "waits for all that is queued",
    "empty_cache": "waits for all that is queued",
}
_TORCH_FUNCTIONS = {
    "tensor": "copies from pageable memory",
    "as_tensor": "copies from pageable memory",
    "from_numpy": "pageable memory; copying it to the device waits",
}
_CHECKED_LINALG = {"inv", "solve", "cholesky", "eigh", "eigvalsh", "svd", "svdvals", "eig", "lstsq"}
_OK = re.compile(r"#\s*sync-ok\b:?\s*(?P<reason>.*)")


@dataclass(frozen=True, kw_only=True, order=True)
class LintFinding:
    """`{file}:{line}: {spelling}: {why}`; files as given, lines from 1."""

    file: str
    line: int
    spelling: str
    why: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.spelling}: {self.why}"


def lint_paths(paths: Iterable[Path]) -> tuple[LintFinding, ...]:
    """Check Python files, and those in folders, in order of their names.

    Raises:
        UserError: a path does not exist or holds no Python, or a file does not parse.
    """
    findings: list[LintFinding] = []
    for path in paths:
        files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
        if not files or not files[0].is_file():
            raise UserError(f"{path}: no Python source there to check for waits")
        for file in files:
            findings += lint_source(read_utf8(file), str(file))
    return tuple(findings)


def lint_source(source: str, file: str) -> tuple[LintFinding, ...]:
    """Check one file's text. A `sync-ok` without a reason, or on a line without need, is found."""
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise UserError(f"{file}:{error.lineno}: does not parse ({error.msg}); fix it") from error
    excuses = {
        number: match["reason"].strip()
        for number, line in enumerate(source.splitlines(), start=1)
        if (match := _OK.search(line))
    }
    found: list[LintFinding] = []
    used: set[int] = set()
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        for spelling, why in _reasons(call):
            # A chained call ends far below where it starts; its excuse may stand on any line of it.
            lines = range(call.lineno, (call.end_lineno or call.lineno) + 1)
            excused = next((line for line in lines if line in excuses), None)
            if excused is None:
                line = call.func.end_lineno or call.lineno
                found.append(LintFinding(file=file, line=line, spelling=spelling, why=why))
            else:
                used.add(excused)
    for line, reason in excuses.items():
        if line not in used:
            why = "nothing on this line waits; delete the comment"
        elif not reason:
            why = "give a reason: `# sync-ok: why`"
        else:
            continue
        found.append(LintFinding(file=file, line=line, spelling="sync-ok", why=why))
    return tuple(sorted(found))


def _reasons(call: ast.Call) -> Iterator[tuple[str, str]]:
    if not isinstance(call.func, ast.Attribute):
        return
    name, owner = call.func.attr, _dotted(call.func.value)
    keywords = {keyword.arg for keyword in call.keywords}
    if name in _METHODS:
        yield f".{name}", _METHODS[name]
    if owner == "torch" and name in _TORCH_FUNCTIONS:
        yield f"torch.{name}", _TORCH_FUNCTIONS[name]
    if owner in ("torch.linalg", "linalg") and name in _CHECKED_LINALG:
        yield f"linalg.{name}", "checks for errors on the host"
    if owner == "torch" and name == "where" and len(call.args) == 1:
        yield "torch.where", "with one argument the size depends on the data"
    if name == "one_hot" and len(call.args) == 1 and "num_classes" not in keywords:
        yield "one_hot", "without num_classes the size depends on the data"
    if name == "repeat_interleave" and "output_size" not in keywords and not _is_number(call):
        yield "repeat_interleave", "without output_size the size depends on the data"
    if name == "to" and any(_is_cpu(argument) for argument in call.args):
        yield '.to("cpu")', "copies to the host"


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def _is_number(call: ast.Call) -> bool:
    """Whether the repeats are written as a number: the last positional argument that is one."""
    repeats = call.args[-1] if call.args else None
    return isinstance(repeats, ast.Constant) and isinstance(repeats.value, int)


def _is_cpu(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value == "cpu"
