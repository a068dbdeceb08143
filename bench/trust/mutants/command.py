"""The whole session of `python -m bench mutants`: collect, prove the clean code, then mutants."""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from rich.progress import MofNCompleteColumn

# Loaded here, before anything is forked, since transformers loads a model's code on first use.
from transformers import LlavaForConditionalGeneration, LlavaProcessor

from bench.base.errors import UserError
from bench.base.progress import progress
from bench.base.verdict import Outcome, Verdict
from bench.trust.mutants.gates import files_for, make_gates, select_gates
from bench.trust.mutants.mutant import Named
from bench.trust.mutants.planting import changes_of
from bench.trust.mutants.results import COLUMNS, cells, unexpected, verdicts_of
from bench.trust.mutants.session import Result, run_clean, run_mutants
from bench.trust.mutants.tests import Tests, with_tests
from bench.trust.mutants.write import write_session

PRELOADED = (LlavaForConditionalGeneration, LlavaProcessor)


@dataclass(frozen=True)
class Session:
    """Results are empty where only the unmutated code was judged."""

    results: list[Result]
    verdicts: list[Verdict]
    seconds: float


def judge(
    mutants: Sequence[Named],
    *,
    without: Sequence[str],
    repeat_clean: int | None,
    jobs: int,
    reproduce: str,
) -> Session:
    """Judge the unmutated code, and unless that is all that was asked for, the mutants.

    Raises:
        UserError: the unmutated code is red, a mutant does not apply, or nothing is selected.
    """
    started = time.monotonic()
    torch.set_num_threads(1)  # children are as many as there are cores, and threads do not fork
    changes_of(mutants)  # before any gate runs: one that does not apply ends it
    families = {named.family for named in mutants}
    results: list[Result] = []
    verdicts: list[Verdict] = []

    def work(tests: Tests) -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            gates = select_gates(make_gates(tests, folder), without)
            gates = [gate for gate in gates if families & {*gate.families}]
            if not gates:
                raise UserError("every gate that judges these mutants is switched off")
            times = repeat_clean or 1
            total = times * len(gates) + (0 if repeat_clean else len(mutants))
            with progress("mutants", total, MofNCompleteColumn()) as bar:
                judged = partial(bar.advance, 1)
                spent = run_clean(gates, times=times, folder=folder, jobs=jobs, progress=judged)
                if not repeat_clean:
                    results.extend(
                        run_mutants(mutants, gates, folder=folder, jobs=jobs, progress=judged)
                    )
            names = ", ".join(gate.name for gate in gates)
            verdicts.append(
                Verdict(
                    gate="mutants/unmutated",
                    outcome=Outcome.PASS,
                    reason=f"green {times} of {times} times in {names}",
                    reproduce=reproduce,
                    numbers={"value": float(times), "cpu_seconds": spent},
                )
            )

    with_tests(files_for(families), work)
    if results:
        verdicts += verdicts_of(results, reproduce=reproduce)
    return Session(results, verdicts, time.monotonic() - started)


__all__ = ["COLUMNS", "Session", "cells", "judge", "unexpected", "write_session"]
