"""Download a known data set to where VLMEvalKit looks for it, going on where it broke off."""

import contextlib
import errno
import fcntl
import http.client
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from rich.progress import (
    DownloadColumn,
    TransferSpeedColumn,
)

from bench.base.errors import UserError
from bench.base.progress import progress
from bench.tasks.load import KNOWN, lmu_data
from bench.tasks.sources.download import Download, TransferError, download, web_address
from bench.tasks.tables.files import demand_file
from bench.tasks.tables.tsv import LARGEST, check_md5

MB = 1e6
SPARE = 64_000_000  # bytes of a disk that stay free
ELSEWHERE = "or set LMUData to another folder"


def fetch(name: str, *, url: str | None = None) -> Path:
    """The file of a known data set, downloaded unless it is there already; never a wrong one.

    What came before a transfer broke off stays in `<name>.tsv.part`, and the next call asks for
    the rest only. The file gets its own name once all of it is there and has the right md5.

    Args:
        name: in `bench.tasks.load.KNOWN`.
        url: a mirror's copy of the same file.

    Raises:
        UserError: no such name or URL, no connection, a server that is too slow or has no end, a
            full disk, a link or a folder in the file's place, or another md5.
    """
    known = KNOWN.get(name)
    if known is None:
        names = ", ".join(name for name, known in KNOWN.items() if known.url)
        raise UserError(f"no data set {name!r} to fetch; choose one of {names}")
    if known.md5 is None or known.url is None:
        raise UserError(f"{name} comes with the package; there is nothing to fetch")
    url = url or known.url
    address = web_address(url)
    path = lmu_data() / f"{name}.tsv"
    if _is_sound(path, known.md5):
        return path
    demand_file(path)
    if path.is_symlink():
        raise UserError(f"{path} is a link, and not to the data: remove it, {ELSEWHERE}")
    part = path.with_name(f"{path.name}.part")
    with _opened(part) as file:
        try:
            _complete(file, part, address)
        except TransferError as error:
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
        with os.fdopen(_descriptor(part), "ab") as file:
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
            f" and give the same command again, {ELSEWHERE}"
        ) from error


def _descriptor(part: Path) -> int:
    """Open for appending, if it is a file of its own: behind a link another one would be
    overwritten, and a pipe would be waited for."""
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    refused = UserError(f"{part} is a link, a folder or a device, no file: remove it, {ELSEWHERE}")
    try:
        descriptor = os.open(part, flags, 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise refused from error
        raise
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        os.close(descriptor)
        raise refused
    return descriptor


def _complete(file: IO[bytes], part: Path, url: str) -> None:
    """Append what `url` has beyond `file`'s end.

    Raises:
        TransferError: the server refuses or can't be reached, the transfer broke off, is too slow
            or gives more than any known data set has.
    """
    have = file.tell()
    with download(url, start=have) as answer:
        if answer is None:
            return  # nothing lies beyond what came already; its md5 is the judge
        if answer.status != http.client.PARTIAL_CONTENT:  # it sends all of it anew
            file.truncate(0)
            file.seek(0)
        elif not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            raise TransferError("the server answers another range than was asked for")
        length = answer.length()
        total = None if length is None else file.tell() + length
        if total is not None and total > LARGEST:
            raise _too_large(total)
        _demand_room(part, length or 0)
        _copy(answer, file, total, part)
    if total is not None and file.tell() < total:
        raise TransferError(f"the transfer broke off after {file.tell()} of {total} bytes")


def _copy(answer: Download, file: IO[bytes], total: int | None, part: Path) -> None:
    """All of the answer's body to `file`, and how far it is."""
    with progress(part.stem, total, DownloadColumn(), TransferSpeedColumn()) as bar:
        bar.skip(file.tell())
        for chunk in answer.chunks():
            if file.tell() + len(chunk) > LARGEST:
                file.truncate(0)  # it can be none of the data: nothing of it is kept
                file.seek(0)
                raise _too_large(None)
            _demand_room(part, len(chunk))
            file.write(chunk)
            bar.advance(len(chunk))
            if total is not None and file.tell() >= total:
                return


def _too_large(size: int | None) -> TransferError:
    given = "data without end" if size is None else f"{size / MB:.0f} MB"
    return TransferError(f"the server gives {given}; no data set has over {LARGEST / MB:.0f} MB")


def _demand_room(part: Path, needed: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if needed + SPARE > free:
        raise UserError(
            f"{part.parent}: {needed / MB:.0f} MB are to come, {SPARE / MB:.0f} MB are to stay free"
            f" and {free / MB:.0f} MB are free; make room, or set LMUData to a folder on another"
            " disk"
        )
