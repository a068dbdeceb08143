"""The golden files on disk: read, compare with what the code makes now, rewrite.

`golden/<case>.txt` holds the records; `golden/manifest.json` says for each which command makes it,
with which package versions, the hash of what went in, and the hash of the file.
"""

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from bench.base.atomic import write_atomically
from bench.base.errors import UserError
from bench.base.reading import read_bytes, read_utf8
from bench.base.sealed import FOLDER, edited, read_sealed, write_sealed
from bench.goldens.cases import Made, cases
from bench.goldens.picture import describe
from bench.goldens.record import records_from_text, records_to_text

COMMAND = "python -m bench golden --regen"
PACKAGES = ("torch", "transformers")


@dataclass(frozen=True)
class Difference:
    """How a case differs from its golden: one line, and a picture of it."""

    case: str
    summary: str
    picture: str


def compare(
    progress: Callable[[str], None] = lambda case: None, only: Collection[str] | None = None
) -> list[Difference]:
    """Make every case, or `only` those of a name, anew and compare it with its file.

    Raises:
        UserError: for a case without a golden, a golden without a case, or a file that is not
            as it was recorded.
    """
    manifest = _manifest()
    found = {path.stem for path in FOLDER.glob("*.txt")}
    known = set(cases())
    if found != known or set(manifest) != known:
        odd = sorted(found ^ known | set(manifest) ^ known)
        raise UserError(
            f"{FOLDER}: goldens and cases do not match at {', '.join(odd)}; "
            f"run `{COMMAND}` and review what it changes"
        )
    for name, entry in manifest.items():
        path = FOLDER / f"{name}.txt"
        if _sha256(read_bytes(path)) != entry["sha256"]:
            raise edited(path, COMMAND)
    differences: list[Difference] = []
    for name, case in cases().items():
        if only is not None and name not in only:
            continue
        progress(name)
        made = case.run()
        differences.extend(_differences(name, made, manifest[name]))
    return differences


def regenerate(progress: Callable[[str], None] = lambda case: None) -> list[Difference]:
    """Rewrite every golden and remove the stale ones; returns what changed."""
    try:
        manifest = _manifest()
    except UserError:  # missing or edited: what it should say is written below
        manifest = {}
    changed: list[Difference] = []
    entries: dict[str, dict[str, Any]] = {}
    for name, case in cases().items():
        progress(name)
        made = case.run()
        path = FOLDER / f"{name}.txt"
        if not path.is_file():
            changed.append(Difference(name, "new", ""))
        else:
            before = manifest.get(name, {"fingerprint": made.fingerprint})
            changed.extend(_differences(name, made, before))
        content = records_to_text(made.records).encode()
        write_atomically(path, content)
        entries[name] = {
            "inputs": case.inputs,
            "fingerprint": made.fingerprint,
            "sha256": _sha256(content),
            "command": COMMAND,
            "versions": {package: version(package).partition("+")[0] for package in PACKAGES},
        }
    for path in FOLDER.glob("*.txt"):
        if path.stem not in entries:
            path.unlink()
            changed.append(Difference(path.stem, "removed: no case makes it any more", ""))
    write_sealed(FOLDER / "manifest.json", {"goldens": entries}, indent=2)
    return changed


def _differences(name: str, made: Made, entry: Mapping[str, object]) -> Iterator[Difference]:
    path = FOLDER / f"{name}.txt"
    try:
        stored = records_from_text(read_utf8(path, mend="restore it from git"))
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}); restore it from git") from error
    if entry.get("fingerprint") != made.fingerprint:
        yield Difference(name, "its inputs changed: weights, images, prompts or config", "")
    if stored == made.records:
        return
    if len(stored) != len(made.records):
        yield Difference(name, f"{len(made.records)} samples, golden has {len(stored)}", "")
        return
    for sample, (golden, now) in enumerate(zip(stored, made.records, strict=True)):
        for summary, picture in describe(golden, now):
            yield Difference(name, f"sample {sample}, {summary}", picture)


def _manifest() -> dict[str, dict[str, Any]]:
    goldens: dict[str, dict[str, Any]] = read_sealed(FOLDER / "manifest.json", command=COMMAND)[
        "goldens"
    ]
    return goldens


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
