"""What all ranks of a run must share, found out before a model is loaded: one run, one folder."""

import secrets
import socket
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from bench.evaluation.runs.identity import IDENTITY, RunSpec, difference
from bench.evaluation.runs.lock import lock_files, locked, sees_mark, write_mark
from bench.evaluation.runs.ranks import Ranks

PATIENCE_S = 20.0  # until a file that one node wrote is seen on another
SILENCE_S = 2.0  # before a rank says what it waits for
INTERVAL_S = 0.1


def meet(folder: Path, spec: RunSpec, ranks: Ranks, held: ExitStack) -> None:
    """Lock the run's folder, once all ranks are seen to run the same into the same folder.

    Rank 0 writes a mark of its own, which no earlier run wrote, into the lock file beside the
    folder; each other rank must read that very mark there. A process alone has nothing to meet.

    Raises:
        UserError: on each node, if another process has the folder, the ranks run different things,
            or one does not see the folder that rank 0 writes into.
        SystemExit: with 2, on ranks that need not say why.
    """
    if ranks.size == 1:
        return
    demand_one_run(spec, ranks)
    mark = secrets.token_hex(16)

    def hold() -> None:
        held.enter_context(locked(folder))
        write_mark(folder, mark)

    ranks.lead(hold)
    _demand_one_folder(folder, mark, ranks)


def demand_one_run(spec: RunSpec, ranks: Ranks) -> None:
    """Raises as `meet` unless all ranks answer the same data by the same code, model and config."""
    if ranks.size == 1:
        return
    own = spec.document()
    host, first = ranks.from_first((socket.gethostname(), own))
    found = difference(first, own, IDENTITY)
    if found is None:
        ranks.agree(None)
        return
    key, there, here = found
    ranks.agree(
        f"rank {ranks.rank} on {socket.gethostname()} has another {key} ({here}) than rank 0 on"
        f" {host} ({there}): start all ranks with the same options, code and data"
    )


def _demand_one_folder(folder: Path, mark: str, ranks: Ranks) -> None:
    """mark: of rank 0, which wrote it."""
    host, written, mark = ranks.from_first((socket.gethostname(), lock_files(folder), mark))
    unseen = _unseen(folder, mark, ranks)
    if unseen is None:
        ranks.agree(None)
        return
    ranks.agree(
        f"rank {ranks.rank} on {socket.gethostname()} does not see in {unseen}, within"
        f" {PATIENCE_S:g} s, what rank 0 on {host} wrote to {written[0]}: give a --work-dir that"
        " all nodes share"
    )


def _unseen(folder: Path, mark: str, ranks: Ranks) -> Path | None:
    """The first of the folder's lock files in which the mark is not seen in time."""
    started = time.monotonic()
    said = False
    for path in lock_files(folder):
        while not sees_mark(path, mark):
            waited = time.monotonic() - started
            if waited > PATIENCE_S:
                return path
            if waited > SILENCE_S and not said and ranks.speaks:
                said = True
                print(
                    f"note: rank {ranks.rank} waits up to {PATIENCE_S:g} s to see in {path} what"
                    " rank 0 wrote there",
                    file=sys.stderr,
                    flush=True,
                )
            time.sleep(INTERVAL_S)
    return None
