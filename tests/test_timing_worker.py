"""A timing worker measures as the interleaved job does: warm, and without garbage collection."""

import gc
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from bench.base.remark import remark
from bench.timing import case, pinning, worker
from bench.timing.interleave import Arm, Stopwatch
from bench.timing.worker import _WARM_UP, _Worker

STARTED: dict[str, Any] = {
    "profile": "tiny",
    "thresholds": None,
    "keep": "18",
    "arm": "hybrid",
    "batches": [1, 8],
}


@pytest.fixture(autouse=True)
def _collector_as_before() -> Iterator[None]:
    yield
    gc.unfreeze()
    gc.enable()


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, bool]]:
    """Each call of an arm: its batch size, and whether garbage would be collected."""
    called: list[tuple[int, bool]] = []

    def arm(batch: int) -> Arm:
        def run(watch: Stopwatch) -> None:
            with watch("answer"):
                called.append((batch, gc.isenabled()))

        return run

    def of(_profile: object, _model: object, _keep: object, batch: int) -> Any:
        return SimpleNamespace(arm=lambda name: arm(batch))

    monkeypatch.setattr(case, "timed_model", lambda *_: SimpleNamespace(llava=None))
    monkeypatch.setattr(case.Case, "of", of)
    return called


def test_every_batch_size_is_warm_before_the_first_request(log: list[tuple[int, bool]]) -> None:
    ready = _Worker(**STARTED)
    assert [batch for batch, _ in log] == [1] * _WARM_UP + [8] * _WARM_UP
    assert _WARM_UP >= 2  # the first call loads, the second one knows what it needs
    log.clear()
    assert ready.answer(do="call", batch=8, cores=None)["seconds"].keys() == {"answer"}
    assert [batch for batch, _ in log] == [8]


def test_garbage_is_collected_between_timed_calls_only(
    log: list[tuple[int, bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    collected: list[int] = []
    before = gc.get_freeze_count()
    ready = _Worker(**STARTED)
    assert gc.get_freeze_count() > before  # what was loaded is not looked through again and again
    monkeypatch.setattr(gc, "collect", lambda: collected.append(len(log)))
    log.clear()
    for batch in (1, 8, 1):
        ready.answer(do="call", batch=batch, cores=None)
    assert log == [(1, False), (8, False), (1, False)]
    assert collected == [1, 2, 3]


def test_it_is_pinned_before_a_call_and_only_when_the_cores_change(
    log: list[tuple[int, bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    pinned: list[tuple[int, list[int]]] = []
    monkeypatch.setattr(pinning, "pin", lambda cores: pinned.append((len(log), list(cores))))
    monkeypatch.setattr("bench.timing.interleave.observer_for", lambda clock, cores: None)
    ready = _Worker(**STARTED)
    log.clear()
    for cores in ([0], [0], [1], None, [0]):
        ready.answer(do="call", batch=1, cores=cores)
    assert pinned == [(0, [0]), (2, [1]), (4, [0])]


def test_it_holds_its_memory_and_answers_line_by_line(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    class Played:
        hybrid = "/somewhere/hybrid"

        def __init__(self, **request: Any) -> None:
            done.append(f"made {request}")
            remark("what the parent says")  # raises here, if it is said

        def answer(self, *, do: str) -> dict[str, Any]:
            if do == "fail":
                raise ValueError("too\nold")
            return {"did": do}

    answers = io.StringIO()
    requests = [{"profile": "tiny"}, {"do": "call"}, {"do": "fail"}, {"do": "peak"}]
    monkeypatch.setattr(worker, "_Worker", Played)
    monkeypatch.setattr(worker, "hold_memory", lambda: done.append("held"))
    monkeypatch.setattr(sys, "stdin", [json.dumps(request) for request in requests])
    monkeypatch.setattr(os, "dup", lambda _fd: -1)
    monkeypatch.setattr(os, "dup2", lambda _from, _to: None)
    monkeypatch.setattr(os, "fdopen", lambda *_args, **_kwargs: answers)
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(fileno=lambda: 1))
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(fileno=lambda: 2))
    worker.main()
    assert done == ["held", "made {'profile': 'tiny'}"]
    assert [json.loads(line) for line in answers.getvalue().splitlines()] == [
        {"hybrid": "/somewhere/hybrid"},
        {"did": "call"},
        {"error": "ValueError: too old"},
        {"did": "peak"},
    ]


def test_a_hybrid_from_before_there_were_methods_and_schedules_fits() -> None:
    """`latency --against` gives the worker an earlier revision's `hybrid`, which lacks these."""
    older = """
import sys, hybrid
for name in [name for name in sys.modules if name.startswith(("hybrid.methods", "hybrid.stages"))]:
    sys.modules[name] = None

class Older(hybrid.HybridConfig):
    def __init__(self, **settings):
        if settings.keys() & {"method", "schedule"}:
            raise TypeError("an unexpected keyword argument")
        super().__init__(**settings)

hybrid.HybridConfig = Older
from bench.timing.worker import _Worker
worker = _Worker(profile="tiny", thresholds=None, keep="18", arm="hybrid", batches=[1])
print(sorted(worker.answer(do="call", batch=1, cores=None)["seconds"]))
"""
    shown = subprocess.run(
        [sys.executable, "-c", older], check=False, capture_output=True, text=True
    )
    assert shown.stdout == "['answer', 'decode', 'prefill']\n", shown.stderr
