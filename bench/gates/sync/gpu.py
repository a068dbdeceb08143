"""The GPU tier of the sync gate: CUDA's own word, and proofs.

Each verdict is on the part between inputs on the device and ids to be read back, where nothing is
allowed; the run before has loaded kernels and filled the allocator, which waits.
"""

from collections.abc import Callable
from typing import Any

import torch

from bench.arms.families import LLAVA, kind_of
from bench.base.remark import remark
from bench.base.verdict import Verdict
from bench.gates.sync.gate import NEW_TOKENS, none_at_all
from bench.gates.sync.scenarios import hybrid_stages
from bench.gates.sync.subjects import Subject
from bench.syncs.cuda import detect_cuda_syncs
from bench.syncs.detector import detect_syncs
from bench.syncs.proof import (
    DetectorDefectError,
    back_pressure,
    capture_error,
    check_agreement,
    prove_no_wait,
    runtime_waits,
)
from bench.syncs.report import Report
from hybrid import HybridConfig, HybridLlava
from hybrid.state import State

REPLAYED_TOKENS = 3  # few: behind the long kernel all replays have to fit into CUDA's queue


def gpu_gate(of: Subject, *, reproduce: str, stack: bool = False) -> tuple[list[Verdict], Report]:
    """Verdicts on a model whose weights are on the GPU, and what was reported on the way.

    `reported`: sync debug mode, trace callbacks and the wrappers around copies found nothing.
    `runtime`: the profiler saw no call that waits. `capture`: a prefill can be captured.
    `back-pressure`: behind a long kernel, the host came back early from a prefill and from a decode
    step; held up although nothing was reported is a defect of the detector, and fails as such.
    """
    return _Eager(of).verdicts("syncs/gpu", reproduce=reproduce, stack=stack)


def full_size_gate(
    of: Subject, graphed: Callable[[Any, HybridConfig], HybridLlava], *, reproduce: str
) -> list[Verdict]:
    """As `gpu_gate`; then reports and back-pressure of a whole answer that is replayed from graphs,
    where there are any: for a family whose images all have one size.

    graphed: makes the model again, of captured graphs.
    """
    verdicts, _ = _Eager(of).verdicts("syncs/gpu full size", reproduce=reproduce)
    assert of.config is not None
    kind = kind_of(of.llava.config)
    if kind.model_type != LLAVA:
        remark(
            f"no replayed answer: CUDA graphs are captured for one image size, not {kind.name}'s"
        )
        return verdicts
    model = graphed(of.llava, of.config)
    inputs = model.place(**dict(of.batch))

    try:
        report, pressure = prove_no_wait(lambda: model.generate_no_sync(inputs, REPLAYED_TOKENS))
        count, reason = report.count + pressure.held_up, str(pressure)
    except DetectorDefectError as error:
        count, reason = 1, f"defect of the detector: {error}"
    replayed = "syncs/gpu full size replayed answer"
    return [*verdicts, none_at_all(replayed, count, reason, reproduce)]


class _Eager:
    """A model on the GPU, run eagerly on inputs that are there already."""

    def __init__(self, of: Subject) -> None:
        assert of.config is not None
        self.model = HybridLlava(of.llava, of.config)
        self.inputs = self.model.place(**dict(of.batch))

    def prefill(self) -> State:
        return self.model.prefill(self.inputs, NEW_TOKENS)

    def one_step(self) -> None:
        state = self.prefill()
        self.model.select(state)
        self.model.decode(state)

    def verdicts(
        self, gate: str, *, reproduce: str, stack: bool = False
    ) -> tuple[list[Verdict], Report]:
        """What CUDA, the wrappers, the profiler and a capture say; with what was reported."""
        model, inputs = self.model, self.inputs
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
        seen = report if report.count else wrappers
        waits = dict(runtime_waits(self.one_step))
        told = ", ".join(f"{name} x{times}" for name, times in waits.items())
        told = told or "the profiler saw no call that waits"
        stopped = capture_error(self.prefill)
        captured = stopped or "a prefill can be captured in a graph"
        verdicts = [
            none_at_all(f"{gate} reported", count, reported, reproduce),
            none_at_all(f"{gate} runtime", sum(waits.values()), told, reproduce),
            none_at_all(f"{gate} capture", stopped is not None, captured, reproduce),
            _pressure(f"{gate} back-pressure prefill", self.prefill, seen, reproduce),
            _pressure(f"{gate} back-pressure decode", self.one_step, seen, reproduce),
        ]
        return verdicts, seen


def _pressure(gate: str, run: Callable[[], object], reported: Report, reproduce: str) -> Verdict:
    pressure = back_pressure(run)
    try:
        check_agreement(reported, pressure)
        reason = str(pressure)
    except DetectorDefectError as error:
        reason = f"defect of the detector: {error}"
    return none_at_all(gate, pressure.held_up, reason, reproduce)
