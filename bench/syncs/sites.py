"""Whose line it was: the nearest caller that is not torch, numpy, the library or this package."""

from __future__ import annotations

import linecache
import sys
import sysconfig
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import FrameType

import numpy
import torch

_OWN_FOLDER = str(Path(__file__).parent)
_STDLIB = str(Path(sysconfig.get_path("stdlib")))
_SITE_PACKAGES = ("site-packages", "dist-packages")
_LIBRARIES = tuple(f"{Path(module.__file__ or '').parent}/" for module in (torch, numpy))


@dataclass(frozen=True, kw_only=True)
class Site:
    """A line of code. `file` is as importable as can be: `hybrid/model.py`, not a checkout path."""

    file: str
    line: int
    function: str
    source: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@lru_cache(maxsize=4096)
def _is_machinery(filename: str) -> bool:
    if filename.startswith(("<frozen", *_LIBRARIES)):
        return True
    if filename.startswith(_STDLIB):
        return not any(folder in filename for folder in _SITE_PACKAGES)
    return str(Path(filename).parent) == _OWN_FOLDER


@lru_cache(maxsize=4096)
def _portable_path(filename: str, module: str) -> str:
    for tail in (f"{module.replace('.', '/')}.py", f"{module.replace('.', '/')}/__init__.py"):
        if filename.endswith(f"/{tail}"):
            return tail.removeprefix("vlm_hybrid/")  # where the wheel has what the ledger names
    path = Path(filename)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else filename


def _site(frame: FrameType) -> Site:
    filename = frame.f_code.co_filename
    return Site(
        file=_portable_path(filename, frame.f_globals.get("__name__", "")),
        line=frame.f_lineno,
        function=frame.f_code.co_qualname,
        source=linecache.getline(filename, frame.f_lineno, frame.f_globals).strip(),
    )


def callers(depth: int | None = None) -> tuple[Site, ...]:
    """The users' lines that led here, innermost first; at most `depth` of them."""
    sites: list[Site] = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and (depth is None or len(sites) < depth):
        if not _is_machinery(frame.f_code.co_filename):
            sites.append(_site(frame))
        frame = frame.f_back
    return tuple(sites)


def caller() -> Site:
    """The user's line that led here."""
    found = callers(depth=1)
    return found[0] if found else Site(file="<unknown>", line=0, function="", source="")
