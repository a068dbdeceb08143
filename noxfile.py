"""The project's sessions; all of them share one environment, made from constraints.txt.

nox                          lint, typecheck, tests
nox -s accuracy latency      the gates, on the embedded tiny profile
nox -s gate-check mutants    whether the gates themselves can be trusted
nox -s accuracy -- --profile llava-1.5-7b --keep 36
nox -s wheel tests-matrix    as others install it; these make environments of their own
"""

import hashlib
import shutil
import sys
import tempfile
from pathlib import Path

import nox
from nox.command import CommandFailed
from packaging.requirements import Requirement

nox.options.sessions = ["lint", "typecheck", "tests"]
# nox gives each session an environment of its own; torch is too large for that.
nox.options.default_venv_backend = "none"

ROOT = Path(__file__).parent
ENVIRONMENT = ROOT / ".nox" / "shared"
OUTPUTS = ROOT / "outputs"

PROJECT = nox.project.load_toml(ROOT / "pyproject.toml")
COMBINATIONS = [
    f"{python}-{bounds}"
    for python in nox.project.python_versions(PROJECT)
    for bounds in ("lowest", "highest")
]
FROM_THE_WHEEL = """
import sys, bench, hybrid
for package in (bench, hybrid):
    assert package.__file__.startswith(sys.prefix), package.__file__
"""
VERSIONS = """
from importlib.metadata import version
print(", ".join(f"{name} {version(name)}" for name in ("torch", "transformers")))
"""


def python(session: nox.Session, *arguments: str) -> None:
    """Run Python in the shared environment; makes it first, or anew if what it holds is outdated.

    pip and not uv: constraints.txt picks a torch build that only pip is told where to find.
    """
    pins = [ROOT / "pyproject.toml", ROOT / "constraints.txt"]
    wanted = hashlib.sha256(b"".join(p.read_bytes() for p in pins)).hexdigest()
    stamp = ENVIRONMENT / "vlm-hybrid.installed"
    executable = str(ENVIRONMENT / "bin" / "python")
    if not stamp.is_file() or stamp.read_text() != wanted:
        make_environment(session, ENVIRONMENT)
        constraints = ("-c", "constraints.txt", "-e", ".[dev]")
        session.run(executable, "-m", "pip", "install", "--quiet", *constraints)
        stamp.write_text(wanted)
    OUTPUTS.mkdir(exist_ok=True)
    session.run(executable, "-m", *arguments)


def make_environment(session: nox.Session, folder: Path, version: str | None = None) -> None:
    """An empty environment in `folder`, of this Python or of another `version`."""
    of = sys.executable if version is None else version
    virtualenv = (sys.executable, "-m", "virtualenv", "--quiet", "--clear", "--python", of)
    session.run(*virtualenv, str(folder))


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
    """All tests; those that ask a real clock come last, alone."""
    python(session, "pytest", *session.posargs)
    if not session.posargs:
        python(session, "pytest", "-m", "clock")


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


@nox.session
def wheel(session: nox.Session) -> None:
    """Build a wheel, install it into an empty environment elsewhere, and run its commands there."""
    with tempfile.TemporaryDirectory(prefix="vlm-hybrid-") as folder:
        environment, built = Path(folder, "environment"), Path(folder, "built")
        elsewhere = Path(folder, "elsewhere")
        elsewhere.mkdir()
        executable = str(environment / "bin" / "python")
        make_environment(session, environment)
        session.run(executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(built), ".")
        [file] = built.iterdir()
        constraints = ("-c", "constraints.txt", str(file))
        session.run(executable, "-m", "pip", "install", "--quiet", *constraints)
        bench = (executable, "-m", "bench")
        commands = [
            (executable, "-c", FROM_THE_WHEEL),
            (str(environment / "bin" / "vlm-hybrid"), "--help"),
            (*bench, "golden"),
            (*bench, "cost"),
            (*bench, "cost", "--gpu", "h100"),
            (*bench, "syncs"),
            (*bench, "gate", "--limit", "100"),
            (*bench, "demo"),
            (*bench, "mutants", "--list"),
            (*bench, "reference", "list"),
        ]
        with session.chdir(elsewhere):
            for command in commands:
                session.run(*command, env={"PYTHONPATH": None})


@nox.session(name="tests-matrix")
def tests_matrix(session: nox.Session) -> None:
    """Tests, golden and sync with the lowest and the highest versions that pyproject.toml allows.

    Each Python that pyproject.toml names takes both; `-- 3.12-lowest` runs only that one. What
    cannot be had here, an interpreter or a wheel, is skipped by name. torch comes from where pip is
    told to look; without PIP_EXTRA_INDEX_URL for CPU builds that is some gigabytes each.
    """
    chosen = session.posargs or COMBINATIONS
    if unknown := [name for name in chosen if name not in COMBINATIONS]:
        session.error(f"no {', '.join(unknown)}: choose from {', '.join(COMBINATIONS)}")
    seen = {name: _combination(session, name) for name in chosen}
    for name, outcome in seen.items():
        session.log(f"{name}: {outcome}")
    if any(outcome.startswith("FAILED") for outcome in seen.values()):
        session.error("red, see above")
    if not any(outcome.startswith("passed") for outcome in seen.values()):
        session.error("no combination can be had here, so nothing was tested")


def _combination(session: nox.Session, name: str) -> str:
    """Run one of the matrix: "passed: versions", "FAILED: where" or "skipped: reason".

    Its environment stays only if it failed: few machines have room for all of them.
    """
    version, _, bounds = name.partition("-")
    environment = ROOT / ".nox" / f"matrix-{name}"
    executable = str(environment / "bin" / "python")
    try:
        make_environment(session, environment, version)
    except CommandFailed:
        return f"skipped: no Python {version} was found"
    exact = _lowest() if bounds == "lowest" else []
    install = (executable, "-m", "pip", "install", "--quiet", "-e", ".[dev]", *exact)
    with tempfile.TemporaryFile("w+") as printed:
        try:
            session.run(*install, stdout=printed)
        except CommandFailed:
            printed.seek(0)
            errors = [line.strip() for line in printed if line.startswith("ERROR: ")]
            if not any("No matching distribution" in error for error in errors):
                return f"FAILED: pip install in {environment}: {' '.join(errors)}"
            shutil.rmtree(environment)
            return f"skipped: {errors[-1].removeprefix('ERROR: ')}"
    for command in ("pytest", "bench golden", "bench syncs"):
        try:
            session.run(executable, "-m", *command.split())
        except CommandFailed:
            return f"FAILED: {command} in {environment}"
    versions = session.run(executable, "-c", VERSIONS, silent=True)
    shutil.rmtree(environment)
    return f"passed: {str(versions).strip()}"


def _lowest() -> list[str]:
    """The lowest version of each dependency that pyproject.toml allows, exactly."""
    found = []
    for dependency in map(Requirement, PROJECT["project"]["dependencies"]):
        [bound] = [each for each in dependency.specifier if each.operator in (">=", "==")]
        found.append(f"{dependency.name}=={bound.version}")
    return found
