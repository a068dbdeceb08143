"""One process at a time for a run's folder, from before anything in it moves until it is scored.

The lock lies beside the folder, since the folder itself is set aside, and is the kernel's: it ends
with the process that holds it, however that ends. Its file stays: a removed one could be locked
twice.
"""

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from bench.base.errors import UserError

WITHOUT_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL)
# Descriptors of locked files, by path and process, since a fork holds nothing.
_held: dict[tuple[int, Path], int] = {}


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold `folder`, which need not exist yet; a process that holds it already may do so again.

    Raises:
        UserError: another process holds it, or it can't be locked.
    """
    with ExitStack() as held:
        for path in lock_files(folder):
            held.enter_context(_locked(path, folder))
        yield


def lock_files(folder: Path) -> list[Path]:
    """A link and what it points to are two names of one run."""
    return sorted({_beside(folder), _beside(folder.resolve())})


def write_mark(folder: Path, mark: str) -> None:
    """Write `mark` into the lock files of `folder`, which this process holds, for other nodes.

    Raises:
        UserError: it can't be written, such as to a full disk.
    """
    for path in lock_files(folder):
        descriptor = _held[os.getpid(), path]
        try:
            os.write(descriptor, f"{mark}\n".encode())
            os.fsync(descriptor)  # to the server, where there is one
        except OSError as error:
            raise UserError(
                f"cannot write {path}: {error.strerror}; choose another --work-dir"
            ) from error


def sees_mark(path: Path, mark: str) -> bool:
    """Whether this lock file is the one that `mark` was written to last."""
    try:
        return mark in path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False


def _beside(folder: Path) -> Path:
    return folder.parent.resolve() / f".{folder.name}.lock"


@contextmanager
def _locked(path: Path, folder: Path) -> Iterator[None]:
    key = (os.getpid(), path)
    if key in _held:
        yield
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK, 0o666)
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror}; choose another --work-dir"
        ) from error
    try:
        _lock(descriptor, path, folder)
        _held[key] = descriptor
        yield
    finally:
        _held.pop(key, None)
        os.close(descriptor)


def _lock(descriptor: int, path: Path, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise UserError(
            f"{folder}: {_holder(path)} is writing this run; wait for it, stop it, or choose"
            " another --work-dir"
        ) from error
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise
        raise UserError(
            f"{folder}: its file system has no locks ({error.strerror}), so that two runs could"
            " write it at once: choose another --work-dir"
        ) from error
    with suppress(OSError):  # a full disk: the lock holds, only its holder has no name
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())


def _holder(path: Path) -> str:
    """Who noted itself in the file, which is empty for a moment after it was locked."""
    noted = path.read_text(encoding="utf-8", errors="replace").splitlines()[:1]
    return noted[0] if noted else "another process"
