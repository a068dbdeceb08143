"""Runs work in forked children, a few at a time.

A child starts with everything imported, so it costs milliseconds where a new process costs seconds.
The parent must not have run anything that starts threads.
"""

import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Ended:
    """How a child ended.

    Attributes:
        value: what its work returned, if it got so far.
        hung: it was stopped after `limit_s`.
        died: it ended without an answer, for another reason.
        cpu_seconds: of the child; 0 where it did not answer.
    """

    value: Any
    hung: bool
    died: bool
    seconds: float
    cpu_seconds: float


@dataclass
class _Running:
    process: BaseProcess
    started: float


def forked(
    work: Sequence[Callable[[], Any]], *, jobs: int, limit_s: float, logs: Sequence[Path]
) -> Iterator[tuple[int, Ended]]:
    """Yields (position, how it ended) as children end; their output goes into `logs`."""
    context = multiprocessing.get_context("fork")
    waiting = list(range(len(work)))
    running: dict[Connection, tuple[int, _Running]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                position = waiting.pop(0)
                ours, theirs = context.Pipe(duplex=False)
                process = context.Process(
                    target=_child, args=(work[position], theirs, logs[position])
                )
                process.start()
                theirs.close()
                running[ours] = position, _Running(process, time.monotonic())
            oldest = min(job.started for _, job in running.values())
            ready = wait(list(running), timeout=max(0.0, oldest + limit_s - time.monotonic()))
            late = [c for c, (_, j) in running.items() if time.monotonic() >= j.started + limit_s]
            for connection in {*ready, *late}:
                assert isinstance(connection, Connection)
                position, job = running.pop(connection)
                yield position, _end(connection, job, hung=connection not in ready)
    finally:
        for _, job in running.values():
            job.process.kill()


def _end(connection: Connection, job: _Running, *, hung: bool) -> Ended:
    value, cpu_seconds, died = None, 0.0, False
    if hung:
        job.process.kill()
    else:
        try:
            value, cpu_seconds = connection.recv()
        except EOFError:
            died = True
    connection.close()
    job.process.join()
    return Ended(value, hung, died, time.monotonic() - job.started, cpu_seconds)


def _child(work: Callable[[], Any], connection: Connection, log: Path) -> None:
    file = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    value = work()
    sys.stdout.flush()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    connection.send((value, usage.ru_utime + usage.ru_stime))
