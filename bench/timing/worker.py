"""A process that times one revision's hybrid, call by call, as its parent asks.

`python -m bench.timing.worker`, started by `bench.timing.remote`, which puts the `hybrid` to be
timed first on the import path; `bench` is the parent's own. One JSON line comes in for each
request, one goes out for each answer. When the parent is gone, its end of the pipe is closed, and
the process ends.

Nothing of `hybrid` is imported before the first request: a revision that does not fit this
harness is then an answer, not a crash.
"""

import gc
import json
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TextIO

from bench.base.errors import UserError
from bench.base.remark import remarks
from bench.timing.allocator import hold_memory

_WARM_UP = 2  # calls at each batch size


def main() -> None:
    """Answers requests until there are no more."""
    # What libraries print goes to stderr; only answers go down the pipe.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1, encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    hold_memory()
    with remarks(silent=True):  # the parent loads the same checkpoint
        _answer_all(sys.stdin, answers)


def _answer_all(requests: Iterable[str], answers: TextIO) -> None:
    worker: _Worker | None = None
    for line in requests:
        request = json.loads(line)
        try:
            if worker is None:
                worker = _Worker(**request)
                answer = {"hybrid": worker.hybrid}
            else:
                answer = worker.answer(**request)
        # Whatever the revision's code raises is the parent's to report, in one line.
        except Exception as error:
            answer = {"error": _one_line(error)}
        _send(answers, answer)


class _Worker:
    """The arm at each batch size, on `threads` threads.

    profile, thresholds, keep, weights: as on the command line.
    """

    def __init__(
        self,
        *,
        profile: str,
        thresholds: str | None,
        keep: str,
        arm: str,
        batches: Sequence[int],
        weights: str = "checkpoint",
    ) -> None:
        import torch

        import hybrid
        from bench.arms.profiles import load_profile
        from bench.arms.weights import Weights
        from bench.timing.case import Case, timed_model
        from bench.timing.clock import clock_for
        from bench.timing.interleave import timed_call
        from hybrid import Keep

        self.hybrid = str(Path(hybrid.__file__).resolve().parent)
        chosen = load_profile(profile, thresholds)
        self._device = torch.device(chosen.model.device)
        self._clock = clock_for(self._device)
        model = timed_model(chosen, Weights(weights))
        kept = Keep.parse(keep)
        self._arms = {batch: Case.of(chosen, model, kept, batch).arm(arm) for batch in batches}
        for arm_at_batch in self._arms.values():
            for _ in range(_WARM_UP):
                timed_call(arm_at_batch, self._clock, None)
        self._llava = model.llava
        self._cores: Sequence[int] | None = None
        gc.collect()
        gc.freeze()
        gc.disable()

    def answer(self, *, do: str, batch: int, cores: Sequence[int] | None) -> dict[str, Any]:
        """do: `call` for seconds and conditions, `peak` for bytes."""
        from bench.timing.interleave import observer_for, timed_call
        from bench.timing.memory import peak_bytes
        from bench.timing.pinning import pin

        if do == "peak":
            return {"peak": peak_bytes(self._arms[batch], self._clock, self._llava)}
        if cores is not None and cores != self._cores:
            pin(cores)
            self._cores = cores
        call = timed_call(self._arms[batch], self._clock, observer_for(self._clock, cores))
        gc.collect()  # here, where the parent waits and nothing is timed
        conditions = call.conditions.to_json() if call.conditions else None
        return {"seconds": call.seconds, "conditions": conditions}


def _one_line(error: Exception) -> str:
    """What the user can mend is said as it is; anything else with its kind."""
    text = " ".join(str(error).split())
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}"


def _send(answers: TextIO, answer: dict[str, Any]) -> None:
    try:
        answers.write(json.dumps(answer) + "\n")
    except BrokenPipeError:  # the parent is gone
        raise SystemExit(0) from None


if __name__ == "__main__":
    main()
