"""A user's own method in a file outside of the repository, as tests write it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.arms import own

LARGEST_KEYS = '''\
"""Largest keys: the patches whose keys in front of a layer are the longest stay."""

from dataclasses import dataclass

from torch import Tensor

from hybrid import Keep
from hybrid.stages import Read


@dataclass(frozen=True)
class Mine:
    """keep: tokens that stay."""

    keep: Keep
    layer: int = 2

    def scores(self, read: Read) -> Tensor:
        return read.of_image(read.key.float().norm(dim=-1).mean(dim=1))  # [B, N]
'''


@pytest.fixture
def mine(tmp_path: Path) -> Iterator[Path]:
    """A file with a method that holds its promises; what is loaded is forgotten around the test."""
    own.forget()
    path = tmp_path / "mine.py"
    path.write_text(LARGEST_KEYS)
    yield path
    own.forget()


def edited(path: Path, old: str, new: str) -> None:
    """Change the file, and start over as a new process would."""
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    own.forget()
