"""The project's sessions, in one environment that holds what constraints.txt pins.

nox                          lint, typecheck, tests
nox -s accuracy latency      the gates, on the embedded tiny profile
nox -s gate-check mutants    whether the gates themselves can be trusted
nox -s accuracy -- --profile llava-1.5-7b --keep 36
nox -s wheel tests-matrix    as others install it; these make environments of their own

A nox that the README's command installed runs them where it lives. Any other one makes such an
environment under .nox first, named by what is in it.
"""

import shutil
import sys
import tempfile
from pathlib import Path

import nox
from nox.command import CommandFailed
from packaging.requirements import Requirement

# nox loads this file by its path, and one that lives elsewhere does not look beside it.
sys.path.insert(0, str(Path(__file__).parent.resolve()))

from sessions.environment import (
    ENVIRONMENTS,
    PINS,
    PROJECT,
    ROOT,
    USERS,
    environment_variables,
    executable,
    locked,
    make_environment,
)

nox.options.sessions = ["lint", "typecheck", "tests"]
# nox gives each session an environment of its own; torch is too large for that.
nox.options.default_venv_backend = "none"

OUTPUTS = ROOT / "outputs"
COMBINATIONS = [
    f"{python}-{bounds}"
    for python in nox.project.python_versions(PROJECT)
    for bounds in ("lowest", "highest")
]
# The tests share the cores; each worker takes 1.2 GB, so there are four at most. On two idle cores
# none takes above 30 s: the slowest are listed, so that one that grew is seen.
CORES = ("-n", "auto", "--maxprocesses", "4", "--dist", "worksteal")
SHARED = (*CORES, "--benchmark-disable", "--durations", "10", "--durations-min", "5")
THEIRS = """
import sys

import pytest
import torch

import bench, hybrid


@pytest.mark.no_sync
def test_clean():
    torch.ones(2).sum()


@pytest.mark.xfail(strict=True)
@pytest.mark.no_sync
def test_waiting():
    torch.ones(2).sum().item()


def test_whose_packages():
    import vlm_hybrid.bench, vlm_hybrid.hybrid

    assert vlm_hybrid.__file__.startswith(sys.prefix)
    assert bench.THEIRS and hybrid.THEIRS
"""
VERSIONS = """
from importlib.metadata import version
print(", ".join(f"{name} {version(name)}" for name in ("torch", "transformers")))
"""


def python(session: nox.Session, *arguments: str) -> None:
    """Run Python in the environment that holds the pins."""
    OUTPUTS.mkdir(exist_ok=True)
    session.run(executable(session), "-m", *arguments, env=environment_variables())


def pytest(session: nox.Session, *arguments: str, **variables: str | None) -> None:
    """Run tests, at least one of them."""
    OUTPUTS.mkdir(exist_ok=True)
    command = (executable(session), "-m", "pytest", "-p", "tests.demand", *arguments)
    session.run(*command, env=environment_variables(*USERS) | variables)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, formatting, who may import whom, and spellings in `hybrid` that make the host wait."""
    python(session, "ruff", "check", ".")
    python(session, "ruff", "format", "--check", ".")
    python(session, "sessions.imports")
    python(session, "bench", "syncs", "--static")


@nox.session
def architecture(session: nox.Session) -> None:
    """Draw the wings and their imports, for docs/architecture.md."""
    python(session, "sessions.architecture")


@nox.session
def typecheck(session: nox.Session) -> None:
    """mypy, strict."""
    python(session, "mypy")


@nox.session
def tests(session: nox.Session) -> None:
    """All tests, on up to four cores; those that ask a real clock come last, alone."""
    if session.posargs:
        pytest(session, *session.posargs)
    else:
        # Workers share the cores: more threads than one would only wait for each other.
        pytest(session, *SHARED, OMP_NUM_THREADS="1")
        pytest(session, "-m", "clock")


@nox.session(name="tests-elsewhere")
def tests_elsewhere(session: nox.Session) -> None:
    """Tests as other machines would run them: instruction sets, threads, kernels, busy cores."""
    python(session, "tests.elsewhere", *session.posargs)


@nox.session
def speed(session: nox.Session) -> None:
    """Ratios of a LLaVA of true depth and token counts, on this machine's CPU; some minutes."""
    written = f"--benchmark-json={OUTPUTS / 'speed.json'}"
    pytest(session, "-m", "speed", "-s", written, *session.posargs)


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
def syncs(session: nox.Session) -> None:
    """The same as `sync`, by the name that the command has."""
    sync.func(session)


@nox.session
def accuracy(session: nox.Session) -> None:
    """Run MMBench and COCO subsets, dense and hybrid, and gate on what was lost."""
    python(session, "bench", "gate", *session.posargs)


@nox.session
def gate(session: nox.Session) -> None:
    """The same as `accuracy`, by the name that the command has."""
    accuracy.func(session)


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
    pytest(session, "tests/test_kernels_benchmark.py", *measured, *session.posargs)


@nox.session(name="gpu-check")
def gpu_check(session: nox.Session) -> None:
    """All that only a GPU can show, within ten minutes, into measured/."""
    python(session, "bench", "gpu-check", *session.posargs)


@nox.session
def sweep(session: nox.Session) -> None:
    """Accuracy against latency over token budgets, as a table and a plot."""
    python(session, "bench", "sweep", *session.posargs)


@nox.session
def methods(session: nox.Session) -> None:
    """All methods at equal budgets on the embedded model, for docs/methods.md; twenty minutes."""
    python(session, "sessions.methods", *session.posargs)


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
        constraints = ("-c", str(PINS), str(file))
        session.run(executable, "-m", "pip", "install", "--quiet", *constraints)
        session.run(executable, "-m", "pip", "install", "--quiet", "-c", str(PINS), "pytest")
        for package in ("bench", "hybrid"):  # as other projects have them
            (elsewhere / package).mkdir()
            (elsewhere / package / "__init__.py").write_text("THEIRS = True\n", encoding="utf-8")
        (elsewhere / "test_theirs.py").write_text(THEIRS, encoding="utf-8")
        command = str(environment / "bin" / "vlm-hybrid")
        commands = [
            (executable, "-m", "pytest", "--strict-markers", "test_theirs.py"),
            (command, "--help"),
            (executable, "-m", "vlm_hybrid", "golden"),
            (command, "cost"),
            (command, "cost", "--gpu", "h100"),
            (command, "syncs"),
            (command, "run", "--data", "tiny-mmbench", "--model", "tiny_hybrid", "--limit", "8"),
            (command, "gate"),
            (command, "demo"),
            (command, "mutants", "--list"),
            (command, "reference", "list"),
        ]
        with session.chdir(elsewhere):
            for each in commands:
                session.run(*each, env=environment_variables())


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
    with locked(session, f"matrix-{name}"):
        return _in_its_environment(session, name, ENVIRONMENTS / f"matrix-{name}")


def _in_its_environment(session: nox.Session, name: str, environment: Path) -> str:
    version, _, bounds = name.partition("-")
    made = str(environment / "bin" / "python")
    try:
        make_environment(session, environment, version)
    except CommandFailed:
        return f"skipped: no Python {version} was found"
    exact = _lowest() if bounds == "lowest" else []
    install = (made, "-m", "pip", "install", "--quiet", "-e", ".[dev]", *exact)
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as printed:
        try:
            session.run(*install, stdout=printed)
        except CommandFailed:
            printed.seek(0)
            errors = [line.strip() for line in printed if line.startswith("ERROR: ")]
            if not any("No matching distribution" in error for error in errors):
                return f"FAILED: pip install in {environment}: {' '.join(errors)}"
            shutil.rmtree(environment)
            return f"skipped: {errors[-1].removeprefix('ERROR: ')}"
    for command in ("pytest -p tests.demand", "bench golden", "bench syncs"):
        try:
            session.run(made, "-m", *command.split(), env=environment_variables(*USERS))
        except CommandFailed:
            return f"FAILED: {command} in {environment}"
    versions = session.run(made, "-c", VERSIONS, silent=True)
    shutil.rmtree(environment)
    return f"passed: {str(versions).strip()}"


def _lowest() -> list[str]:
    """The lowest version of each dependency that pyproject.toml allows, exactly."""
    found = []
    for dependency in map(Requirement, PROJECT["project"]["dependencies"]):
        [bound] = [each for each in dependency.specifier if each.operator in (">=", "==")]
        found.append(f"{dependency.name}=={bound.version}")
    return found
