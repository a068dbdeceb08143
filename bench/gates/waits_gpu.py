"""The GPU tier of the sync gate: CUDA's own word, and proofs. No GPU has confirmed this file yet.

Each verdict is on the part between inputs on the device and ids to be read back, where nothing is
allowed; the run before has loaded kernels and filled the allocator, which waits.
"""

from collections.abc import Callable

import torch

from bench.gates.waits import NEW_TOKENS
from bench.syncs.cuda import detect_cuda_syncs
from bench.syncs.detector import detect_syncs
from bench.syncs.proof import (
    DetectorDefectError,
    back_pressure,
    capture_error,
    check_agreement,
    runtime_waits,
)
from bench.syncs.report import Report
from bench.syncs.scenarios import hybrid_stages
from bench.syncs.subjects import Subject
from bench.verdict import Outcome, Verdict
from hybrid import HybridLlava


def gpu_gate(of: Subject, *, reproduce: str, stack: bool = False) -> tuple[list[Verdict], Report]:
    """Verdicts on a model whose weights are on the GPU, and what was reported on the way.

    `reported`: sync debug mode, trace callbacks and the wrappers around copies found nothing.
    `back-pressure`: behind a long kernel, the host came back early from a prefill and from a decode
    step; held up although nothing was reported is a defect of the detector, and fails as such.
    `runtime`: the profiler saw no call that waits. `capture`: a prefill can be captured.
    """
    assert of.config is not None
    model = HybridLlava(of.llava, of.config)
    inputs = model.place(**dict(of.batch))
    model.generate_no_sync(inputs, NEW_TOKENS)
    torch.cuda.synchronize()

    with (
        hybrid_stages(model),
        detect_syncs(device=model.device, stack=stack) as wrappers,
        detect_cuda_syncs(stack=stack) as report,
    ):
        model.generate_no_sync(inputs, NEW_TOKENS)
    findings = (*report.findings, *wrappers.findings)
    count = report.count + wrappers.count
    reported = "CUDA and the wrappers report no wait"
    if findings:
        reported = f"{findings[0].site} {findings[0].operator}: {findings[0].site.source}"

    def prefill() -> object:
        return model.prefill(inputs, NEW_TOKENS)

    def one_step() -> None:
        state = model.prefill(inputs, NEW_TOKENS)
        model.select(state)
        model.decode(state)

    merged = report if report.count else wrappers
    waits = dict(runtime_waits(one_step))
    captured = capture_error(prefill)
    verdicts = [
        _verdict("reported", not count, reported, reproduce, float(count)),
        _pressure("prefill", prefill, merged, reproduce),
        _pressure("decode", one_step, merged, reproduce),
        _verdict(
            "runtime",
            not waits,
            ", ".join(f"{name} x{times}" for name, times in waits.items())
            or "the profiler saw no call that waits",
            reproduce,
            float(sum(waits.values())),
        ),
        _verdict(
            "capture",
            captured is None,
            captured or "a prefill can be captured in a graph",
            reproduce,
            float(captured is not None),
        ),
    ]
    return verdicts, merged


def _pressure(name: str, run: Callable[[], object], reported: Report, reproduce: str) -> Verdict:
    pressure = back_pressure(run)
    try:
        check_agreement(reported, pressure)
        reason = str(pressure)
    except DetectorDefectError as error:
        reason = f"defect of the detector: {error}"
    held = float(pressure.held_up)
    return _verdict(f"back-pressure {name}", not held, reason, reproduce, held)


def _verdict(name: str, good: bool, reason: str, reproduce: str, value: float) -> Verdict:
    return Verdict(
        gate=f"syncs/gpu {name}",
        outcome=Outcome.PASS if good else Outcome.FAIL,
        reason=reason,
        reproduce=reproduce,
        numbers={"value": value, "must_be": "<=", "bound": 0.0},
    )
