"""The GPU tier: loud without a GPU, and on one, CUDA's own word against the catalogue."""

import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial

import pytest
import torch
from torch.cuda import _gpu_trace

from bench.syncs import cuda, stage
from bench.syncs.catalogue import CLEAN, WAITS, Example, Inputs
from bench.syncs.cuda import NoDevice, detect_cuda_syncs, has_gpu
from bench.syncs.detector import detect_syncs
from bench.syncs.proof import (
    BackPressure,
    DetectorDefectError,
    back_pressure,
    capture_error,
    check_agreement,
    prove_no_wait,
    runtime_waits,
)
from bench.syncs.report import Report
from tests.commands import Typed

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason=cuda.SKIPPED)
CPU_ONLY_SPELLINGS = {"numpy_asks_for_an_array"}  # CUDA refuses instead of waiting
# Seen on an H200 with torch 2.11: the host is held up, and neither debug mode nor trace says so.
UNTOLD = {"unique_rows", "unpinned_non_blocking", "empty_the_cache"}


def each(examples: tuple[Example, ...]) -> pytest.MarkDecorator:
    """A test for each on a GPU; without one a single skip, which says all that there is to say."""
    count = f"{len(examples)} examples"
    asked = examples if torch.cuda.is_available() else [pytest.param(None, marks=needs_gpu)]
    return pytest.mark.parametrize(
        "example", asked, ids=lambda example: example.name if example else count
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_the_tier_is_skipped_or_an_error_as_asked(typed: Typed) -> None:
    assert not has_gpu()
    code, _, told = typed("syncs", "--require-gpu")
    assert code == 2 and told.startswith("error: --require-gpu: ") and told.count("\n") == 1
    for check in (back_pressure, capture_error, runtime_waits, prove_no_wait):
        with pytest.raises(NoDevice, match="no CUDA device"):
            check(lambda: None)
    with pytest.raises(NoDevice, match="no CUDA device"), detect_cuda_syncs():
        pass


@pytest.fixture
def debug_mode(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[object]]:
    """Stands in for the driver: remembers the mode; tests send the warnings and traces."""
    mode: list[object] = [0]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_sync_debug_mode", lambda: mode[-1])
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", mode.append)
    yield mode


# What PyTorch calls from within an operator, so that the line is the operator's caller.
warn = partial(warnings.warn, "called a synchronizing CUDA operation", UserWarning)
trace = partial(_gpu_trace.StreamSynchronizationCallbacks.fire_callbacks, 0)


def test_mode_filters_and_hook_come_back_after_an_exception(debug_mode: list[object]) -> None:
    before = (warnings.showwarning, list(warnings.filters))
    with pytest.raises(ZeroDivisionError), detect_cuda_syncs():
        assert debug_mode[-1] == "warn"
        raise ZeroDivisionError
    assert debug_mode == [0, "warn", 0]
    assert (warnings.showwarning, list(warnings.filters)) == before


@pytest.mark.parametrize("layers", [(trace, warn), (warn, trace)])
def test_a_wait_that_both_layers_tell_of_counts_once(
    debug_mode: list[object], layers: tuple[Callable[[], None], ...]
) -> None:
    """In PyTorch the warning comes last: it is kept until the operator returns to Python."""
    with detect_cuda_syncs() as report, stage("decode 1"):
        for _ in range(3):
            for layer in layers:
                layer()
        _gpu_trace.EventSynchronizationCallbacks.fire_callbacks(0)
        _gpu_trace.DeviceSynchronizationCallbacks.fire_callbacks()
    counts: Counter[str] = Counter()
    for finding in report.findings:
        counts[finding.operator] += finding.count
    assert counts == {"stream wait": 3, "event wait": 1, "device wait": 1}
    assert report.in_stage("decode 1") == 5


def test_waits_of_two_lines_are_not_taken_for_one(debug_mode: list[object]) -> None:
    with detect_cuda_syncs() as report:
        trace()
        warn()
    assert report.count == 2


def test_a_wait_that_only_the_trace_tells_of_counts_too(debug_mode: list[object]) -> None:
    with detect_cuda_syncs() as report:
        _gpu_trace.StreamSynchronizationCallbacks.fire_callbacks(0)
    assert report.count == 1


def test_other_warnings_pass_through(debug_mode: list[object]) -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with detect_cuda_syncs() as report:
            warnings.warn("something else", UserWarning, stacklevel=1)
    assert report.count == 0
    assert [str(warning.message) for warning in seen] == ["something else"]


def test_nothing_is_recorded_after_the_block(debug_mode: list[object]) -> None:
    with detect_cuda_syncs() as report:
        pass
    _gpu_trace.StreamSynchronizationCallbacks.fire_callbacks(0)
    assert report.count == 0


def test_held_up_without_a_finding_is_a_defect_of_the_detector() -> None:
    held_up = BackPressure(host_ms=11.0, device_ms=10.0, held_up=True)
    with pytest.raises(DetectorDefectError, match="blind to something"):
        check_agreement(Report(), held_up)
    check_agreement(Report(), BackPressure(host_ms=1.0, device_ms=10.0, held_up=False))


@each(tuple(e for e in WAITS if e.name not in CPU_ONLY_SPELLINGS))
def test_cuda_agrees_that_a_planted_wait_waits(example: Example) -> None:
    """What CUDA does not tell of, the wrappers and modes do; that it waits is proven for each."""
    inputs = Inputs.on("cuda")
    example.run(inputs)
    torch.cuda.synchronize()
    with detect_cuda_syncs() as told:
        example.run(inputs)
    with detect_syncs(device="cuda") as found:
        example.run(inputs)
    marked = set(example.marked_lines())
    lines = {f.site.line for f in told.findings}
    assert lines == (set() if example.name in UNTOLD else marked)
    assert lines | {f.site.line for f in found.findings} == marked
    assert back_pressure(lambda: example.run(inputs)).held_up


@each(CLEAN)
def test_cuda_agrees_that_a_clean_idiom_does_not_wait(example: Example) -> None:
    inputs = Inputs.on("cuda")
    report, pressure = prove_no_wait(lambda: example.run(inputs))
    assert report.count == 0, report.text()
    assert not pressure.held_up


@needs_gpu
def test_the_proofs_see_an_item() -> None:
    x = torch.ones(2, device="cuda")
    assert back_pressure(lambda: x.sum().item()).held_up
    assert capture_error(lambda: x.sum().item()) is not None
    assert sum(runtime_waits(lambda: x.sum().item()).values()) > 0


@needs_gpu
def test_the_proofs_pass_a_sum() -> None:
    x = torch.ones(2, device="cuda")
    assert not back_pressure(x.sum).held_up
    assert capture_error(x.sum) is None
    assert runtime_waits(x.sum) == {}
