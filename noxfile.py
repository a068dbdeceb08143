"""The project's sessions; all of them share one environment, made from constraints.txt.

nox                          lint, typecheck, tests
nox -s accuracy latency      the gates, on the embedded tiny profile
nox -s accuracy -- --profile llava-1.5-7b --keep 36
"""

import hashlib
from pathlib import Path

import nox

nox.options.sessions = ["lint", "typecheck", "tests"]
nox.options.default_venv_backend = "virtualenv"

ROOT = Path(__file__).parent
ENVIRONMENT = str(ROOT / ".nox" / "shared")


def install(session: nox.Session) -> None:
    """Install the project, unless this environment already holds it as now described.

    pip and not uv: constraints.txt picks a torch build that only pip is told where to find.
    """
    pins = [ROOT / "pyproject.toml", ROOT / "constraints.txt"]
    wanted = hashlib.sha256(b"".join(p.read_bytes() for p in pins)).hexdigest()
    stamp = Path(session.virtualenv.location) / "vlm-hybrid.installed"
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    session.install("-c", "constraints.txt", "-e", ".[dev]")
    stamp.write_text(wanted)


@nox.session(venv_location=ENVIRONMENT, reuse_venv=True)
def lint(session: nox.Session) -> None:
    """Style, formatting, and spellings in `hybrid` that would make the host wait."""
    install(session)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("python", "-m", "bench", "syncs", "--static")


@nox.session(venv_location=ENVIRONMENT, reuse_venv=True)
def typecheck(session: nox.Session) -> None:
    """mypy, strict."""
    install(session)
    session.run("mypy")


@nox.session(venv_location=ENVIRONMENT, reuse_venv=True)
def tests(session: nox.Session) -> None:
    """All tests."""
    install(session)
    session.run("pytest", *session.posargs)


@nox.session(venv_location=ENVIRONMENT, reuse_venv=True)
def golden(session: nox.Session) -> None:
    """Recorded positions, owners and pruning masks against the code as it is."""
    install(session)
    session.run("python", "-m", "bench", "golden", *session.posargs)


@nox.session(venv_location=ENVIRONMENT, reuse_venv=True)
def regen(session: nox.Session) -> None:
    """Rewrite the goldens and print what changed, for review."""
    install(session)
    session.run("python", "-m", "bench", "golden", "--regen", *session.posargs)


@nox.session(venv_location=ENVIRONMENT, reuse_venv=True)
def sync(session: nox.Session) -> None:
    """No wait of the host for the device inside the model."""
    install(session)
    session.run("python", "-m", "bench", "syncs", *session.posargs)


@nox.session(venv_location=ENVIRONMENT, reuse_venv=True)
def accuracy(session: nox.Session) -> None:
    """Run MMBench and COCO subsets, dense and hybrid, and gate on what was lost."""
    install(session)
    session.run("python", "-m", "bench", "gate", *session.posargs)


@nox.session(venv_location=ENVIRONMENT, reuse_venv=True)
def latency(session: nox.Session) -> None:
    """Time hybrid against dense in one process, interleaved, and gate on the ratio."""
    install(session)
    session.run("python", "-m", "bench", "latency", *session.posargs)
