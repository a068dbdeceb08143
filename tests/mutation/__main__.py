"""`python -m tests.mutation`: exit code 0, 1 for survivors, 2 for a list that is out of date."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.base.errors import UserError
from tests.mutation.listed import Mutant, changed_lines, judge, load_equivalent

ROOT = Path(__file__).parents[2]
COPIED = ("hybrid", "bench", "tests", "golden", "pyproject.toml", "README.md")
LEAST = 0.95
KILLED, SURVIVED = (1, 3), (0, 5, 33)  # pytest's exit codes; mutmut's 33: no test calls it


def main() -> int:
    """Mutate, test, judge."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutation-") as name:
        folder = Path(name)
        _copy(folder)
        # One thread, since the children are forked; the copy's own packages come first.
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": ""}
        command = [sys.executable, "-m", "mutmut", "run", "--max-children", "1"]
        # Its spinner is for a terminal; elsewhere it is shown only if mutmut breaks off.
        shown = None if sys.stdout.isatty() else subprocess.PIPE
        ended = subprocess.run(
            command, cwd=folder, env=environment, check=False, stdout=shown, stderr=shown, text=True
        )
        codes = _codes(folder)
        if ended.returncode or not codes or None in codes.values():
            print((ended.stdout or "")[-2000:], (ended.stderr or "")[-2000:], file=sys.stderr)
            raise UserError(f"mutmut broke off with exit code {ended.returncode}: see above")
        survivors = [_mutant(folder, name) for name, code in codes.items() if code in SURVIVED]
    odd = [f"{name}: exit code {code}" for name, code in codes.items() if not _is_clear(code)]
    if odd:
        raise UserError(f"{len(odd)} mutants neither died nor survived ({odd[0]}): run it again")
    killed = len(codes) - len(survivors)
    unexplained, stale = judge(survivors, load_equivalent())
    for text in unexplained:
        print(f"survived: {text}")
    for text in stale:
        print(f"listed as equivalent, but no such mutant survives: {text}")
    listed = len(survivors) - len(unexplained)
    score = killed / len(codes)
    minutes = (time.monotonic() - start) / 60
    print(
        f"{killed} of {len(codes)} mutants killed ({score:.1%}, at least {LEAST:.0%}), {listed} "
        f"listed as equivalent, {len(unexplained)} survived, in {minutes:.0f} minutes"
    )
    if stale:
        return 2
    return 1 if unexplained or score < LEAST else 0


def _copy(folder: Path) -> None:
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    settings = Path(__file__).with_name("mutmut.toml").read_text(encoding="utf-8")
    with (folder / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write("\n" + settings)


def _codes(folder: Path) -> dict[str, int | None]:
    """pytest's exit code for each mutant by name."""
    codes: dict[str, int | None] = {}
    for path in sorted((folder / "mutants").rglob("*.meta")):
        codes |= json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"]
    return codes


def _is_clear(code: int | None) -> bool:
    return code in KILLED or code in SURVIVED


def _mutant(folder: Path, name: str) -> Mutant:
    """mutmut calls a method `hybrid.config.xǁKeepǁof__mutmut_3`, a function `...x_merge__..`."""
    command = [sys.executable, "-m", "mutmut", "show", name]
    shown = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    module, _, mangled = name.partition("__mutmut_")[0].rpartition(".")
    plain = mangled.removeprefix("x").lstrip("ǁ").removeprefix("_").replace("ǁ", ".")
    return Mutant(f"{module}.{plain}", changed_lines(shown.stdout))


if __name__ == "__main__":
    try:
        code = main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 2
    raise SystemExit(code)
