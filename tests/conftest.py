"""What tests of several files ask for."""

import signal
from collections.abc import Iterator

import pytest


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C reaches the processes that a test starts, also where the tests themselves were started
    in the background: a shell makes such a job, and all that it starts, ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
