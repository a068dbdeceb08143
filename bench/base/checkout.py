"""Whose code runs: a gate that is started in a checkout has to judge that checkout's code."""

import os
import subprocess
import tomllib
from importlib.util import find_spec
from pathlib import Path

BENCH = Path(__file__).parents[1]
NAME = "vlm-hybrid"
# git refuses a checkout of another user; whose code runs already may be asked for its commit.
TRUSTED = f"safe.directory={BENCH.parent.resolve()}"


def foreign_code(folder: Path, imported: dict[str, Path]) -> str | None:
    """What is wrong if `folder` lies in a checkout whose code is not what was imported.

    Args:
        imported: `bench` and `hybrid`, and the folders they were imported from.
    """
    checkout = next((f for f in (folder, *folder.parents) if _is_checkout(f)), None)
    if checkout is None:
        return None
    for name, found in imported.items():
        if (checkout / name).resolve() != found.resolve():
            return (
                f"this is the checkout {checkout}, and {name} was imported from {found}: nothing"
                " here would be judged; use this checkout's own environment, start it by"
                " `python -m bench` without -P and PYTHONPATH, or leave the checkout"
            )
    return None


def imported_packages() -> dict[str, Path]:
    """`bench` and `hybrid`, and the folders that this process takes them from."""
    above = __name__.partition("bench.")[0]  # in a wheel both lie in one package
    spec = find_spec(f"{above}hybrid")
    origin = spec.origin if spec else None
    return {"bench": BENCH, "hybrid": Path(origin).parent if origin else Path("nowhere")}


def git(*arguments: str) -> str | None:
    """What git says of the checkout that this code lies in; None if it lies in none.

    A repository that merely surrounds it, such as that of a project with its environment inside,
    says nothing about it; nor does one that a git hook names.
    """
    top = _git("rev-parse", "--show-toplevel")
    if top is None or Path(top).resolve() != BENCH.parent.resolve():
        return None
    return _git(*arguments)


def is_changed() -> bool:
    """Whether files differ from the commit; new and ignored ones count where code is read from."""
    if git("status", "--porcelain", "--untracked-files=no"):
        return True
    others = git("ls-files", "--others", "-z", "--", "bench", "hybrid", "golden") or ""
    caches = ("/__pycache__/", ".pyc")
    return any(name and not any(c in f"/{name}" for c in caches) for name in others.split("\0"))


def _is_checkout(folder: Path) -> bool:
    if not all((folder / package).is_dir() for package in ("bench", "hybrid")):
        return False
    try:
        project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
        return bool(project["project"]["name"] == NAME)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _git(*arguments: str) -> str | None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    command = ["git", "-C", str(BENCH.parent), "-c", TRUSTED, *arguments]
    try:
        said = subprocess.run(command, env=environment, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return said.stdout.decode("utf-8", "replace").strip()
