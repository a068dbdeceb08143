"""Live verdicts on known truths: real jobs, here and now, each in a process of its own."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import product

from bench.gates.latency import measure_until_decided
from bench.timing.clock import clock_for
from bench.trust.gatecheck.judged import JOB, QUESTION, Judged
from bench.trust.gatecheck.planted import Cost, Work, calibrate, planted_arm, tiny_case, work_for
from bench.trust.gatecheck.record import in_new_process
from bench.trust.gatecheck.series import BATCHES, PLANTED, REFERENCE, STAGES, TRUTHS


def live_verdicts(count: int, *, reproduce: str, progress: Callable[[str], None]) -> list[Judged]:
    """`count` jobs for each truth, batch sizes in turn, on work that is calibrated first.

    Their seconds count all of it: a new process, loading the model, warming up, sampling.
    """
    costs: Mapping[int, Mapping[str, Cost]] = {
        batch: in_new_process(calibrate, batch) for batch in BATCHES
    }
    judged = []
    for number, truth in product(range(count), TRUTHS):
        batch = BATCHES[number % len(BATCHES)]
        work = work_for(TRUTHS[truth], costs[batch])
        started = time.monotonic()
        one: Judged = in_new_process(live_verdict, truth, batch, work, reproduce)
        one = replace(one, seconds=time.monotonic() - started)
        judged.append(one)
        said = ", ".join(f"{s} {one.compared[s]} {one.ratios[s]:.3f}" for s in STAGES)
        progress(f"batch {batch}, {truth}: {said}, {one.seconds:.0f} s")
    return judged


def live_verdict(truth: str, batch: int, work: Work | None, reproduce: str) -> Judged:
    """One job on one batch size, by the latency gate as it is."""
    case = tiny_case(batch)
    arms = {REFERENCE: planted_arm(case, None), PLANTED: planted_arm(case, work)}
    started = time.monotonic()
    _, verdicts = measure_until_decided(
        arms,
        {},
        [QUESTION],
        budget_s=case.profile.timing.budget_s,
        clock=clock_for(case.llava.device),
        threads=case.profile.model.threads,
        reproduce=reproduce,
        among=JOB,
    )
    return Judged.of(truth, batch, verdicts, time.monotonic() - started)
