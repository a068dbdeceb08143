"""Command lines, typed in this process: one of their own would import torch anew."""

from collections.abc import Callable
from typing import NamedTuple

import pytest

from bench.cli import main


class Ended(NamedTuple):
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


Typed = Callable[..., Ended]


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> Ended:
    """What `python -m bench ...` does."""
    monkeypatch.setattr("sys.argv", ["bench", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    return Ended(int(ended.value.code or 0), said.out, said.err)
