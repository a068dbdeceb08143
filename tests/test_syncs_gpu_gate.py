"""What the GPU tier's verdicts say, played through without a GPU."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from bench.base.verdict import Outcome, Verdict
from bench.gates.sync import gpu as waits_gpu
from bench.gates.sync.gpu import full_size_gate, gpu_gate
from bench.gates.sync.subjects import Subject
from bench.syncs import proof
from bench.syncs.proof import BackPressure
from bench.syncs.report import Report
from bench.syncs.sites import Site
from hybrid import HybridConfig, HybridLlava
from tests.llavas import batch, random_llava

FREE = BackPressure(host_ms=1.0, device_ms=10.0, held_up=False)
HELD = BackPressure(host_ms=11.0, device_ms=10.0, held_up=True)
PRESSED = ["back-pressure prefill", "back-pressure decode"]
SITE = Site(file="hybrid/model.py", line=7, function="decode", source="x.item()")


@pytest.fixture(scope="module")
def subject() -> Subject:
    llava: Any = random_llava()
    return Subject(
        "tiny_hybrid", llava, HybridConfig(keep="4", aggregation_layer=1), vars(batch(1))
    )


Measure = Callable[..., dict[str, Verdict]]


def played(
    monkeypatch: pytest.MonkeyPatch,
    waits: int,
    pressure: BackPressure,
    runtime: dict[str, int],
    captured: str | None,
) -> None:
    """A GPU that says these things."""

    @contextmanager
    def detect(**_settings: object) -> Iterator[Report]:
        report = Report()
        for _ in range(waits):
            report.record(operator="stream wait", why="", site=SITE, stage="decode step 1")
        yield report

    def pressed(run: Callable[[], object]) -> BackPressure:
        run()
        return pressure

    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    for module in (waits_gpu, proof):
        monkeypatch.setattr(module, "detect_cuda_syncs", detect)
        monkeypatch.setattr(module, "back_pressure", pressed)
    monkeypatch.setattr(waits_gpu, "runtime_waits", lambda run: (run(), runtime)[1])
    monkeypatch.setattr(waits_gpu, "capture_error", lambda run: (run(), captured)[1])


@pytest.fixture
def measure(monkeypatch: pytest.MonkeyPatch, subject: Subject) -> Measure:
    def run(
        *,
        waits: int = 0,
        pressure: BackPressure = FREE,
        runtime: dict[str, int] | None = None,
        captured: str | None = None,
    ) -> dict[str, Verdict]:
        played(monkeypatch, waits, pressure, runtime or {}, captured)
        verdicts, _ = gpu_gate(subject, reproduce="python -m bench syncs --require-gpu")
        return {v.gate.removeprefix("syncs/gpu "): v for v in verdicts}

    return run


def failed(verdicts: dict[str, Verdict]) -> list[str]:
    return [name for name, v in verdicts.items() if v.outcome is Outcome.FAIL]


def test_five_measurements_that_agree_pass(measure: Measure) -> None:
    verdicts = measure()
    assert failed(verdicts) == []
    assert list(verdicts) == [
        "reported",
        "runtime",
        "capture",
        *PRESSED,
    ]


def test_a_reported_wait_fails_with_its_line(measure: Measure) -> None:
    verdicts = measure(waits=2)
    assert failed(verdicts) == ["reported"]
    assert verdicts["reported"].reason == "hybrid/model.py:7 stream wait: x.item()"


def test_held_up_with_nothing_reported_is_a_defect_of_the_detector(measure: Measure) -> None:
    verdicts = measure(pressure=HELD)
    assert failed(verdicts) == PRESSED
    assert verdicts["back-pressure decode"].reason.startswith("defect of the detector: held up")


def test_held_up_by_what_was_reported_is_no_defect_of_the_detector(measure: Measure) -> None:
    verdicts = measure(waits=1, pressure=HELD)
    assert verdicts["back-pressure decode"].reason.startswith("held up: the host needed 11.0 ms")
    assert failed(verdicts) == ["reported", *PRESSED]


def test_the_profilers_and_the_captures_word_count_too(measure: Measure) -> None:
    verdicts = measure(runtime={"cudaStreamSynchronize": 3}, captured="operation not permitted")
    assert failed(verdicts) == ["runtime", "capture"]
    assert verdicts["runtime"].reason == "cudaStreamSynchronize x3"
    assert verdicts["capture"].reason == "operation not permitted"


@pytest.mark.parametrize(
    ("waits", "pressure", "reds"),
    [
        (0, FREE, []),
        (1, FREE, ["reported", "replayed answer"]),
        (1, HELD, ["reported", *PRESSED, "replayed answer"]),
        (0, HELD, [*PRESSED, "replayed answer"]),
    ],
)
def test_at_full_size_a_replayed_answer_takes_the_pressure_too(
    monkeypatch: pytest.MonkeyPatch,
    subject: Subject,
    waits: int,
    pressure: BackPressure,
    reds: list[str],
) -> None:
    played(monkeypatch, waits, pressure, {}, None)
    verdicts = full_size_gate(subject, HybridLlava, reproduce="python -m bench syncs")
    named = {v.gate.removeprefix("syncs/gpu full size "): v for v in verdicts}
    assert list(named) == ["reported", "runtime", "capture", *PRESSED, "replayed answer"]
    assert failed(named) == reds
    if pressure is HELD and not waits:
        assert named["replayed answer"].reason.startswith("defect of the detector: held up")
