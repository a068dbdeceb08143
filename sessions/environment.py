"""The environment that sessions run in: which one is taken, made where it lacks, and kept clean."""

import fcntl
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import nox
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1].resolve()
ENVIRONMENTS = ROOT / ".nox"
PINS = ROOT / "constraints.txt"
PROJECT = nox.project.load_toml(ROOT / "pyproject.toml")
INSTALL = ("-c", str(PINS), "-e", f"{ROOT}[dev]")
# What others set for their own work, and what would change which code, tests or rules run here.
FOREIGN = ("PYTEST_", "PYTHON", "MYPY", "RUFF_", "COVERAGE_", "HYPOTHESIS_")
HARMLESS = ("PYTHONUNBUFFERED", "PYTHONIOENCODING", "PYTHONUTF8", "PYTHONDONTWRITEBYTECODE")
# Tests bring their own; the last one is a file of the job, and no test belongs into it.
USERS = ("FASTV_K", "VLM_HYBRID_HISTORY", "VLM_HYBRID_REFERENCES", "GITHUB_STEP_SUMMARY")


def environment_variables(*without: str) -> dict[str, str | None]:
    """Changes of the environment: what would silently change what a session does is taken out."""
    foreign = {name for name in os.environ if name.startswith(FOREIGN) and name not in HARMLESS}
    return dict.fromkeys((*sorted(foreign), *without))


def executable(session: nox.Session) -> str:
    """The Python that sessions run: nox's own, if it has all that is pinned.

    Otherwise that of an environment of its own, named by what goes into it: a file that changes
    makes another one, beside that in which a gate may be running. Two at once make it once.
    """
    reason = lacking()
    if reason is None:
        return sys.executable
    folder = ENVIRONMENTS / f"shared-{fingerprint()}"
    stamp, made = folder / "vlm-hybrid.installed", str(folder / "bin" / "python")
    with locked(session, "shared"):
        if not stamp.is_file():
            session.log(f"{sys.prefix} is not used, {reason}; making {folder}")
            make_environment(session, folder)
            # pip and not uv: constraints.txt picks a torch that only pip is told where to find.
            session.run(made, "-m", "pip", "install", "--quiet", *INSTALL)
            stamp.touch()
    return made


def fingerprint() -> str:
    """Of what an environment is made from: pins, dependencies, this Python, and this folder."""
    digest = hashlib.sha256(f"{ROOT}\0{sys.executable}\0{sys.version}".encode())
    for file in (ROOT / "pyproject.toml", PINS):
        digest.update(b"\0" + file.read_bytes())
    return digest.hexdigest()[:12]


@cache
def lacking() -> str | None:
    """Why this Python's own packages are not those that are pinned; None if they are."""
    project = PROJECT["project"]
    lines = PINS.read_text(encoding="utf-8").splitlines()
    pinned = [Requirement(line) for line in lines if line and not line.startswith("#")]
    pins = {canonicalize_name(pin.name): pin.specifier for pin in pinned}
    try:
        own = distribution(project["name"])
    except PackageNotFoundError:
        return f"{project['name']} is not installed there"
    origin = json.loads(own.read_text("direct_url.json") or "{}")
    if origin.get("url") != ROOT.as_uri() or not origin.get("dir_info", {}).get("editable"):
        return f"its {project['name']} is not this folder"
    entries = {(entry.group, entry.name, entry.value) for entry in own.entry_points}
    groups = {"console_scripts": project["scripts"], **project["entry-points"]}
    if entries != {(group, *item) for group, items in groups.items() for item in items.items()}:
        return "its commands and plugins are not those of pyproject.toml"
    waiting = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    seen: set[str] = set()
    while waiting:
        line = waiting.pop()
        if line in seen:
            continue
        seen.add(line)
        wanted = Requirement(line)
        try:
            found = distribution(wanted.name)
        except PackageNotFoundError:
            return f"it has no {wanted.name}"
        pin = pins.get(canonicalize_name(wanted.name), SpecifierSet())
        if not (wanted.specifier & pin).contains(found.version, prereleases=True):
            return f"its {wanted.name} {found.version} is not {wanted.specifier & pin}"
        for further in found.requires or []:
            marker = Requirement(further).marker
            if marker is None or any(marker.evaluate({"extra": e}) for e in ("", *wanted.extras)):
                waiting.append(further)
    return None


@contextmanager
def locked(session: nox.Session, name: str) -> Iterator[None]:
    """Only one nox at a time does this; the others wait. The lock ends with the process."""
    ENVIRONMENTS.mkdir(exist_ok=True)
    with (ENVIRONMENTS / f"{name}.lock").open("w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            session.log(f"another nox has {file.name}: waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def make_environment(session: nox.Session, folder: Path, version: str | None = None) -> None:
    """An empty environment in `folder`, of this Python or of another `version`."""
    of = sys.executable if version is None else version
    virtualenv = (sys.executable, "-m", "virtualenv", "--quiet", "--clear", "--python", of)
    session.run(*virtualenv, str(folder))
