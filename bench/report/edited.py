"""Which of the files that judge a change the change itself edits. Standard library only."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.base.checkout import git
from bench.base.errors import UserError

OWNERS = ".github/CODEOWNERS"


def judging(owners: str) -> list[str]:
    """The patterns of a code owners' file: files, and folders that end in a slash.

    Raises UserError for a pattern that is neither.
    """
    lines = [line.split("#")[0].split() for line in owners.splitlines()]
    patterns = [words[0] for words in lines if words]
    for pattern in patterns:
        if not pattern.startswith("/") or any(character in pattern for character in "*?[\\"):
            raise UserError(f"{OWNERS}: {pattern!r}: give a file or folder from the root, /so/")
    return patterns


def edits(paths: Iterable[str], patterns: Sequence[str]) -> list[str]:
    """Those of `paths`, relative to the root, that the patterns name."""
    return sorted({path for path in paths if any(_within(path, each) for each in patterns)})


def edited_since(base: str) -> list[str]:
    """What judges and differs from where this checkout left `base`; what is not committed, too.

    The patterns are those of that commit: a change cannot take its own edit out of them.

    Raises:
        UserError: no checkout, no such revision, or no common commit.
    """
    if git("rev-parse", "HEAD") is None:
        raise UserError("not in a git checkout of this project: nothing to compare with")
    if git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{base}^{{commit}}") is None:
        raise UserError(f"--base {base}: no such revision here; git fetch it")
    start = git("merge-base", "--end-of-options", base, "HEAD")
    if start is None:
        raise UserError(f"--base {base}: no commit in common with HEAD; fetch the whole history")
    changed = git("diff", "--name-only", "--no-renames", "--no-ext-diff", "-z", start)
    new = git("ls-files", "--others", "--exclude-standard", "-z")
    here = git("rev-parse", "--show-toplevel")
    if changed is None or new is None or here is None:
        raise UserError(f"git does not say what differs from {start}")
    owners = git("show", f"{start}:{OWNERS}")
    if owners is None:  # the change that brings the file
        owners = (Path(here) / OWNERS).read_text(encoding="utf-8")
    return edits(f"{changed}\0{new}".split("\0"), judging(owners))


def _within(path: str, pattern: str) -> bool:
    anchored = f"/{path}"
    return anchored.startswith(pattern) if pattern.endswith("/") else anchored == pattern
