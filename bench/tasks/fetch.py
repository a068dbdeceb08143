"""Download a known data set to where VLMEvalKit looks for it, going on where it broke off."""

import contextlib
import fcntl
import http.client
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from rich.progress import (
    DownloadColumn,
    TransferSpeedColumn,
)

from bench.errors import UserError
from bench.progress import progress
from bench.tasks.load import KNOWN, lmu_data
from bench.tasks.tsv import check_md5

CHUNK = 1 << 18
TIMEOUT_S = 60.0
MB = 1e6


def fetch(name: str, *, url: str | None = None) -> Path:
    """The file of a known data set, downloaded unless it is there already; never a wrong one.

    What came before a transfer broke off stays in `<name>.tsv.part`, and the next call asks for
    the rest only. The file gets its own name once all of it is there and has the right md5.

    Args:
        name: in `bench.tasks.load.KNOWN`.
        url: a mirror's copy of the same file.

    Raises:
        UserError: no such name or URL, no connection, a full disk, or another md5.
    """
    known = KNOWN.get(name)
    if known is None:
        names = ", ".join(name for name, known in KNOWN.items() if known.url)
        raise UserError(f"no data set {name!r} to fetch; choose one of {names}")
    if known.md5 is None or known.url is None:
        raise UserError(f"{name} comes with the package; there is nothing to fetch")
    url = url or known.url
    if not url.startswith(("http://", "https://")):
        raise UserError(f"{url}: give an http:// or https:// address")
    path = lmu_data() / f"{name}.tsv"
    if _is_sound(path, known.md5):
        return path
    part = path.with_name(f"{path.name}.part")
    with _opened(part) as file:
        try:
            _complete(file, part, url)
        except _TransferError as error:
            kept = file.tell()
            again = (
                f"{kept} bytes are kept, the same command goes on from there, or " if kept else ""
            )
            raise UserError(
                f"{url}: {error}; {again}try --url MIRROR, or put the file (md5 {known.md5})"
                f" at {path}"
            ) from error
        file.flush()
        os.fsync(file.fileno())
        try:
            check_md5(part, known.md5)
        except UserError as error:
            part.unlink()
            raise UserError(f"{url} gave another file, which was removed: {error}") from error
        part.replace(path)
    return path


class _TransferError(Exception):
    """What came is incomplete, and why."""


def _is_sound(path: Path, md5: str) -> bool:
    """Whether the file is there; one with another md5 is replaced, as VLMEvalKit does."""
    if not path.is_file():
        return False
    try:
        check_md5(path, md5)
    except UserError:
        return False
    return True


@contextlib.contextmanager
def _opened(part: Path) -> Iterator[IO[bytes]]:
    """The partial file, open at its end, and locked: two downloads would mix in it."""
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        with part.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.seek(0, os.SEEK_END)
            try:
                yield file
            finally:
                if file.tell() == 0:
                    part.unlink(missing_ok=True)
    except BlockingIOError as error:
        raise UserError(f"{part}: another fetch is writing it; wait for that one") from error
    except OSError as error:
        raise UserError(
            f"{part}: can't be written: {error.strerror or error}; what came is kept, mend that"
            " and give the same command again"
        ) from error


def _complete(file: IO[bytes], part: Path, url: str) -> None:
    """Append what `url` has beyond `file`'s end.

    Raises:
        _TransferError: the server refuses or can't be reached, or the transfer broke off.
    """
    have = file.tell()
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # nothing lies beyond what came already; its md5 is the judge
        raise _TransferError(f"the server answers {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise _TransferError(f"no connection ({reason})") from error
    with response:
        if response.status != http.client.PARTIAL_CONTENT:  # it sends all of it anew
            file.truncate(0)
            file.seek(0)
        elif not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            raise _TransferError("the server answers another range than was asked for")
        length = response.headers.get("Content-Length")
        total = None if length is None else file.tell() + int(length)
        _demand_room(part, 0 if length is None else int(length))
        _copy(response, file, total, part.stem)
    if total is not None and file.tell() < total:
        raise _TransferError(f"the transfer broke off after {file.tell()} of {total} bytes")


def _copy(
    response: http.client.HTTPResponse, file: IO[bytes], total: int | None, name: str
) -> None:
    """All of the answer's body to `file`, and how far it is."""
    with progress(name, total, DownloadColumn(), TransferSpeedColumn()) as bar:
        bar.skip(file.tell())
        while True:
            try:
                chunk = response.read(CHUNK)
            except (OSError, http.client.HTTPException) as error:
                raise _TransferError(f"the transfer broke off ({error})") from error
            if not chunk:
                return
            file.write(chunk)
            bar.advance(len(chunk))


def _demand_room(part: Path, needed: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if needed > free:
        raise UserError(
            f"{part.parent}: {needed / MB:.0f} MB are to come and {free / MB:.0f} MB are free; make"
            " room, or set LMUData to a folder on another disk"
        )
