"""What tests of several files ask for."""

import gc
import os
import signal
from collections.abc import Iterator
from functools import partial

import pytest

from tests.commands import Typed, run

os.environ["MPLBACKEND"] = "agg"  # as the command line does: a notebook's is not installed here


@pytest.fixture(scope="module", autouse=True)
def _no_garbage_is_looked_for_in_what_was_imported() -> None:
    """Which lives as long as the process. It would take half a second each time, and whatever
    counts memory asks for that; measuring times thaws it again, so each file starts so."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C reaches the processes that a test starts, also where the tests themselves were started
    in the background: a shell makes such a job, and all that it starts, ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    """`typed("score", "x.xlsx")` is what `python -m bench score x.xlsx` does."""
    return partial(run, monkeypatch, capsys)
