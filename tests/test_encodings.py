"""Texts are UTF-8 wherever this runs: no call leaves the encoding to the locale."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = [
    ROOT / "noxfile.py",
    *sorted(p for f in ("bench", "hybrid", "sessions") for p in (ROOT / f).rglob("*.py")),
]
OPENS = {"open", "fdopen", "TemporaryFile", "NamedTemporaryFile"}
PIPES = ("text", "universal_newlines")
# What they open is no text of ours: a number, pixels, a page, an address, a package's metadata.
NO_FILES = {"os.open", "Image.open", "webbrowser.open", "opener.open", "own.read_text"}


def left_to_the_locale(source: str) -> Iterator[str]:
    """`LINE: CALL` of each call that reads or writes text and names no encoding."""
    for call in ast.walk(ast.parse(source)):
        if not isinstance(call, ast.Call):
            continue
        whole = ast.unparse(call.func)
        name = whole.rpartition(".")[2]
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        texts = [*call.args, *([given["mode"]] if "mode" in given else [])]
        binary = any(
            isinstance(text, ast.Constant) and isinstance(text.value, str) and "b" in text.value
            for text in texts
            if len(ast.unparse(text)) <= len("'rb+'")
        )
        # Both temporary files are binary unless they are told otherwise.
        binary |= name in ("TemporaryFile", "NamedTemporaryFile") and not texts
        if whole in NO_FILES:
            continue
        opens = name in OPENS and not binary
        reads = name in ("read_text", "write_text")
        pipes = any(ast.unparse(given.get(key, call)) == "True" for key in PIPES)
        if (opens or reads or pipes) and "encoding" not in given:
            yield f"{call.lineno}: {ast.unparse(call)}"


def test_every_text_of_the_project_is_read_and_written_as_utf_8() -> None:
    found = [
        f"{file.relative_to(ROOT)}:{call}"
        for file in FILES
        for call in left_to_the_locale(file.read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("path.read_text()", True),
        ("path.write_text(text)", True),
        ("path.open()", True),
        ("path.open('a')", True),
        ("open(path, mode='w')", True),
        ("os.fdopen(number, 'w')", True),
        ("tempfile.TemporaryFile('w+')", True),
        ("subprocess.run(command, text=True)", True),
        ("path.open('rb')", False),
        ("open(path, mode='ab')", False),
        ("tempfile.TemporaryFile()", False),
        ("os.open(path, os.O_RDONLY)", False),
        ("path.read_text(encoding='utf-8')", False),
        ("subprocess.run(command, encoding='utf-8')", False),
    ],
)
def test_a_call_without_an_encoding_is_found(source: str, found: bool) -> None:
    assert bool(list(left_to_the_locale(source))) == found


def test_a_name_beyond_ascii_is_read_under_a_locale_without_it(tmp_path: Path) -> None:
    gpus = tmp_path / "gpus.toml"
    gpus.write_text("# Köln, 科隆\n[a]\n", encoding="utf-8")
    command = (
        "from pathlib import Path; from bench.cost.gpu import _tables;"
        f"print(ascii(_tables(Path({str(gpus)!r}))))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", command],
        env={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PATH": "/usr/bin:/bin"},
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (0, "{'a': {}}\n"), ran.stderr
