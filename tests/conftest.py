"""What tests of several files ask for."""

import gc
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import pytest

from bench.tasks.captions.scores import score_captions
from bench.tasks.captions.tokenise import DEFAULT_TOKENISER, Tokeniser
from bench.tasks.task import Metric
from tests.commands import Typed, run

os.environ["MPLBACKEND"] = "agg"  # as the command line does: a notebook's is not installed here


@pytest.fixture(scope="module", autouse=True)
def _no_garbage_is_looked_for_in_what_was_imported() -> None:
    """Which lives as long as the process. It would take half a second each time, and whatever
    counts memory asks for that; measuring times thaws it again, so each file starts so."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def scored_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The recorded runs' 5,000 captions take seven seconds to score, and several files ask for
    them: the same texts against the same references are scored once a process."""
    for asking in ("tasks.captions.coco", "evaluation.comparison.recorded"):
        monkeypatch.setattr(f"bench.{asking}.score_captions", _scored_once)


_SCORED: dict[object, tuple[dict[str, Metric], dict[int, float]]] = {}


def _scored_once(
    references: Mapping[int, Sequence[str]],
    captions: Mapping[int, str],
    tokeniser: Tokeniser = DEFAULT_TOKENISER,
    *,
    with_spice: bool = False,
) -> tuple[dict[str, Metric], dict[int, float]]:
    truth = tuple(tuple(references[index]) for index in captions)
    asked = (truth, tuple(captions.items()), tokeniser, with_spice)
    if asked not in _SCORED:
        _SCORED[asked] = score_captions(references, captions, tokeniser, with_spice=with_spice)
    metrics, each = _SCORED[asked]
    return dict(metrics), dict(each)


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
