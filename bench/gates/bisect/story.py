"""What a search found, in words."""

import subprocess
from pathlib import Path

from bench.gates.bisect.search import Found

FORMAT = "%H%n  author  %an, %ad%n  subject %s"


def tell(repository: Path, found: Found) -> str:
    """The first bad commit and how to see it fail; or those that could not be told apart."""
    described = [_describe(repository, commit) for commit in found.commits]
    if len(described) > 1:
        told = "\n".join(described)
        return f"one of {len(described)} commits, the others between gave no verdict:\n{told}"
    switch = f"git switch --detach {found.commits[0][:10]}"
    return f"first bad commit: {described[0]}\n  reproduce {switch} && {found.command}"


def _describe(repository: Path, commit: str) -> str:
    command = ["git", "show", "--no-patch", "--date=iso", f"--format={FORMAT}", commit]
    shown = subprocess.run(
        command, cwd=repository, capture_output=True, encoding="utf-8", errors="replace", check=True
    )
    return shown.stdout.strip()
