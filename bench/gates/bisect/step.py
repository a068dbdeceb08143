"""Runs a gate with the code of the commit that is checked out here; `git bisect run` calls this.

A file on its own, run by its path: it must not import from the checkout that it judges, nor from
the one that asked. Its one argument is a JSON file: `python`, `gate` (the command behind
`python -m bench`) and `log`, a file that gets one JSON line a commit.

A gate that answers neither PASS nor FAIL says nothing about its commit. That includes one that
crashes, although Python then exits with 1, like a gate that failed.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

GOOD, BAD, SKIP, STOP = 0, 1, 125, 255
PACKAGES = ("bench", "hybrid")
CRASH = "Traceback (most recent call last):"
CODES = {"PASS": GOOD, "FAIL": BAD, "UNSURE": SKIP, "ERROR": SKIP, "FOREIGN": STOP}


def main() -> int:
    """The exit code that `git bisect run` understands."""
    plan = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    started = time.monotonic()
    verdict, reason = judge(Path.cwd(), plan["python"], plan["gate"])
    commit, _, subject = _git("log", "-1", "--format=%H %s").partition(" ")
    seconds = time.monotonic() - started
    line = {"commit": commit, "verdict": verdict, "reason": reason, "seconds": seconds}
    with Path(plan["log"]).open("a", encoding="utf-8") as log:
        log.write(json.dumps(line) + "\n")
    note = f" ({reason})" if CODES[verdict] not in (GOOD, BAD) else ""
    print(f"{commit[:10]} {verdict:<6} {seconds:6.1f} s  {subject}{note}", file=sys.stderr)
    return CODES[verdict]


def judge(checkout: Path, python: str, gate: list[str]) -> tuple[str, str]:
    """PASS, FAIL, UNSURE, ERROR, or FOREIGN if Python ran other code than the commit's; and why."""
    environment = os.environ | {
        "PYTHONPATH": str(checkout),  # in front of an editable install
        # A commit's bytecode could be taken for the next one's: same size, same second.
        "PYTHONDONTWRITEBYTECODE": "1",
    }

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [python, *arguments],
            cwd=checkout,
            env=environment,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )

    for package in PACKAGES:
        if not (checkout / package / "__init__.py").is_file():
            return "ERROR", f"this commit has no package {package}"
    imported = run("-c", "\n".join(f"import {p}; print({p}.__file__)" for p in PACKAGES))
    if imported.returncode != 0:
        return "ERROR", f"cannot be imported: {_last(imported.stderr)}"
    for file in imported.stdout.splitlines():
        if not Path(file).resolve().is_relative_to(checkout.resolve()):
            return "FOREIGN", f"{file} was imported, which is not this commit's"
    ran = run("-m", "bench", *gate)
    if CRASH in ran.stderr:
        return "ERROR", f"crashed: {_last(ran.stderr)}"
    verdicts = {0: "PASS", 1: "FAIL", 3: "UNSURE"}
    reason = _last(ran.stdout) if ran.returncode in verdicts else _last(ran.stderr)
    return verdicts.get(ran.returncode, "ERROR"), reason


def _last(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1] if lines else "no output"


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], capture_output=True, encoding="utf-8", errors="replace", check=True
    ).stdout.strip()


if __name__ == "__main__":
    raise SystemExit(main())
