"""The comment under a pull request: what was asked, what is missing, and what it edits.

`python3 -m bench.report.pull_request FOLDER CHANGED CONCLUSION`, with the standard library only:
this runs beside a token, where nothing is installed and nothing of the change is run.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from bench.base.reading import Unreadable, read_bytes, read_json, read_utf8
from bench.report.edited import OWNERS, edits, judging

MARKER = "<!-- vlm-hybrid: gates on the GPU -->"
LIMIT = 65000  # characters; a comment holds 65536
SHOWN = 50  # files
ORDER = ("FAIL", "UNSURE", "PASS")


def comment(folder: Path, changed: Sequence[str], owners: str, conclusion: str) -> str:
    """Markdown whose first line says whether all that was asked was measured, and how it ended.

    Args:
        folder: what the run left: `asked.txt`, `-verdicts.json` and `-report.md` of each gate.
        changed: the files of the change.
        owners: the code owners' file of the branch it goes to.
        conclusion: how the run ended, GitHub's word; only "success" can be a PASS.
    """
    asked = _asked(folder)
    outcomes = {gate: _outcome(folder / f"{gate}-verdicts.json") for gate in asked}
    missing = [gate for gate, outcome in outcomes.items() if outcome is None]
    head = [f"**{_overall(outcomes, conclusion)}**"]
    if not asked:
        head.append("nothing was measured, the run ended before it said what was asked")
    if missing:
        head.append(f"MISSING: {', '.join(missing)}")
    if asked:
        head.append(f"asked: {', '.join(asked)}")
    if conclusion != "success":
        head.append(f"the run ended as {conclusion or 'nothing that is known'}")
    found = edits(changed, judging(owners))
    shown = [f"`{_plain(path)}`" for path in found[:SHOWN]]
    if len(found) > SHOWN:
        shown.append(f"and {len(found) - SHOWN} more")
    edit = f"This change edits: {', '.join(shown)}" if found else "This change edits no judge"
    reports = [_text(folder / f"{gate}-report.md") for gate in asked]
    body = "\n\n".join([f"{MARKER}{'; '.join(head)}", edit, *filter(None, reports)])
    return body if len(body) <= LIMIT else f"{body[:LIMIT]}\n\n... cut here"


def _overall(outcomes: dict[str, str | None], conclusion: str) -> str:
    found = [name for name in ORDER if name in outcomes.values()]
    worst = found[0] if found else "PASS"
    if worst != "PASS":
        return worst
    complete = outcomes and None not in outcomes.values() and conclusion == "success"
    return "PASS" if complete else "INCOMPLETE"


def _asked(folder: Path) -> list[str]:
    """Names of gates only: the file is the change's to write, and becomes part of paths."""
    names = (line.strip() for line in _text(folder / "asked.txt").splitlines())
    return list(dict.fromkeys(n for n in names if n.replace("-", "").isalnum() and n.isascii()))


def _outcome(file: Path) -> str | None:
    """The worst of a gate's verdicts; None if there are none that can be read."""
    try:
        found = {verdict["outcome"] for verdict in read_json(file)}
    except (Unreadable, KeyError, TypeError):
        return None
    if not found <= set(ORDER):
        return None
    return next((name for name in ORDER if name in found), None)


def _text(file: Path) -> str:
    try:
        return read_bytes(file).decode(errors="replace").strip()
    except Unreadable:
        return ""


def _plain(path: str) -> str:
    return "".join(c if c.isprintable() and c != "`" else "?" for c in path)


def main() -> None:
    """Prints the comment."""
    folder, changed, conclusion = sys.argv[1:]
    names = read_utf8(Path(changed)).split("\0")
    owners = read_utf8(Path(OWNERS))
    print(comment(Path(folder), names, owners, conclusion))


if __name__ == "__main__":
    main()
