"""The project's sessions, in one environment that holds what constraints.txt pins.

nox                          lint, typecheck, tests
nox -s accuracy latency      the gates, on the embedded tiny profile
nox -s gate-check mutants    whether the gates themselves can be trusted
nox -s accuracy -- --profile llava-1.5-7b --keep 36
nox -s wheel tests-matrix    as others install it; these make environments of their own

A nox that the README's command installed runs them where it lives. Any other one makes such an
environment under .nox first, named by what is in it.
"""

import fcntl
import hashlib
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import nox
from nox.command import CommandFailed
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

nox.options.sessions = ["lint", "typecheck", "tests"]
# nox gives each session an environment of its own; torch is too large for that.
nox.options.default_venv_backend = "none"

ROOT = Path(__file__).parent.resolve()
ENVIRONMENTS = ROOT / ".nox"
OUTPUTS = ROOT / "outputs"
PINS = ROOT / "constraints.txt"

PROJECT = nox.project.load_toml(ROOT / "pyproject.toml")
if sys.platform != "linux" or platform.python_version() not in SpecifierSet(
    PROJECT["project"]["requires-python"]
):
    here = f"Python {platform.python_version()} on {sys.platform}"
    sys.exit(f"error: vlm-hybrid runs on Linux with Python 3.11 or 3.12, and this is {here}")
COMBINATIONS = [
    f"{python}-{bounds}"
    for python in nox.project.python_versions(PROJECT)
    for bounds in ("lowest", "highest")
]
INSTALL = ("-c", str(PINS), "-e", f"{ROOT}[dev]")
# What others set for their own work, and what would change which code, tests or rules run here.
FOREIGN = ("PYTEST_", "PYTHON", "MYPY", "RUFF_", "COVERAGE_", "HYPOTHESIS_")
HARMLESS = ("PYTHONUNBUFFERED", "PYTHONIOENCODING", "PYTHONUTF8", "PYTHONDONTWRITEBYTECODE")
# Tests bring their own; the last one is a file of the job, and no test belongs into it.
USERS = ("FASTV_K", "VLM_HYBRID_HISTORY", "VLM_HYBRID_REFERENCES", "GITHUB_STEP_SUMMARY")
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


def pytest(session: nox.Session, *arguments: str) -> None:
    """Run tests, at least one of them."""
    OUTPUTS.mkdir(exist_ok=True)
    command = (executable(session), "-m", "pytest", "-p", "tests.demand", *arguments)
    session.run(*command, env=environment_variables(*USERS))


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
    pytest(session, *session.posargs)
    if not session.posargs:
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
            (command, "gate", "--limit", "100"),
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
