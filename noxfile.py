"""The project's sessions; all of them share one environment, made from constraints.txt.

nox                          lint, typecheck, tests
nox -s accuracy latency      the gates, on the embedded tiny profile
nox -s gate-check mutants    whether the gates themselves can be trusted
nox -s accuracy -- --profile llava-1.5-7b --keep 36
"""

import hashlib
import sys
from pathlib import Path

import nox

nox.options.sessions = ["lint", "typecheck", "tests"]
# nox gives each session an environment of its own; torch is too large for that.
nox.options.default_venv_backend = "none"

ROOT = Path(__file__).parent
ENVIRONMENT = ROOT / ".nox" / "shared"
OUTPUTS = ROOT / "outputs"


def python(session: nox.Session, *arguments: str) -> None:
    """Run Python in the shared environment; makes it first, or anew if what it holds is outdated.

    pip and not uv: constraints.txt picks a torch build that only pip is told where to find.
    """
    pins = [ROOT / "pyproject.toml", ROOT / "constraints.txt"]
    wanted = hashlib.sha256(b"".join(p.read_bytes() for p in pins)).hexdigest()
    stamp = ENVIRONMENT / "vlm-hybrid.installed"
    executable = str(ENVIRONMENT / "bin" / "python")
    if not stamp.is_file() or stamp.read_text() != wanted:
        session.run(sys.executable, "-m", "virtualenv", "--quiet", "--clear", str(ENVIRONMENT))
        constraints = ("-c", "constraints.txt", "-e", ".[dev]")
        session.run(executable, "-m", "pip", "install", "--quiet", *constraints)
        stamp.write_text(wanted)
    OUTPUTS.mkdir(exist_ok=True)
    session.run(executable, "-m", *arguments)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, formatting, and spellings in `hybrid` that would make the host wait."""
    python(session, "ruff", "check", ".")
    python(session, "ruff", "format", "--check", ".")
    python(session, "bench", "syncs", "--static")


@nox.session
def typecheck(session: nox.Session) -> None:
    """mypy, strict."""
    python(session, "mypy")


@nox.session
def tests(session: nox.Session) -> None:
    """All tests."""
    python(session, "pytest", *session.posargs)


@nox.session
def speed(session: nox.Session) -> None:
    """Ratios of a LLaVA of true depth and token counts, on this machine's CPU; some minutes."""
    written = f"--benchmark-json={OUTPUTS / 'speed.json'}"
    python(session, "pytest", "-m", "speed", "-s", written, *session.posargs)


@nox.session
def golden(session: nox.Session) -> None:
    """Recorded positions, owners and pruning masks against the code as it is."""
    python(session, "bench", "golden", *session.posargs)


@nox.session
def cost(session: nox.Session) -> None:
    """FLOPs, bytes and launches of LLaVA-1.5-7B against the recorded ones; counted, not timed."""
    python(session, "bench", "cost", *session.posargs)


@nox.session
def regen(session: nox.Session) -> None:
    """Rewrite the goldens and print what changed, for review."""
    python(session, "bench", "golden", "--regen", *session.posargs)
    python(session, "bench", "cost", "--regen")


@nox.session
def sync(session: nox.Session) -> None:
    """No wait of the host for the device inside the model."""
    python(session, "bench", "syncs", *session.posargs)


@nox.session
def accuracy(session: nox.Session) -> None:
    """Run MMBench and COCO subsets, dense and hybrid, and gate on what was lost."""
    python(session, "bench", "gate", *session.posargs)


@nox.session
def latency(session: nox.Session) -> None:
    """Time hybrid against dense in one process, interleaved, and gate on the ratio."""
    python(session, "bench", "latency", *session.posargs)
    session.notify("kernels", posargs=())


@nox.session
def kernels(session: nox.Session) -> None:
    """Time the kernels one by one, for `pytest-benchmark compare`; gates on nothing."""
    written = f"--benchmark-json={OUTPUTS / 'kernels.json'}"
    measured = ("--benchmark-max-time=1", "--benchmark-min-rounds=5", written)
    python(session, "pytest", "tests/test_kernels_benchmark.py", *measured, *session.posargs)


@nox.session(name="gpu-check")
def gpu_check(session: nox.Session) -> None:
    """All that only a GPU can show, within ten minutes, into bench/results/."""
    python(session, "bench", "gpu-check", *session.posargs)


@nox.session
def sweep(session: nox.Session) -> None:
    """Accuracy against latency over token budgets, as a table and a plot."""
    python(session, "bench", "sweep", *session.posargs)


@nox.session
def history(session: nox.Session) -> None:
    """The recorded runs of this machine over commits, steps marked."""
    python(session, "bench", "history", *session.posargs)


@nox.session(name="gate-check")
def gate_check(session: nox.Session) -> None:
    """The gates on known truths: how often they cry wolf, and how often they sleep."""
    python(session, "bench", "gate-check", *session.posargs)


@nox.session
def mutants(session: nox.Session) -> None:
    """Plant known defects one by one; each must turn a gate red."""
    python(session, "bench", "mutants", *session.posargs)


@nox.session
def mutation(session: nox.Session) -> None:
    """Change every line of the pure core in turn; a test must notice."""
    python(session, "tests.mutation", *session.posargs)
