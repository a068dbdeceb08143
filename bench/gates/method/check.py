"""A verdict for each promise of a method, over the budgets that it takes."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from bench.arms.own import raised
from bench.base.errors import UserError
from bench.base.verdict import Outcome, Verdict
from bench.gates.method.promises import PROMISES, TOLERANCE, Found
from bench.gates.method.trial import Factory, Trial, trials
from hybrid import ConfigError, Keep

MILLION = 1e6


def method_gate(
    name: str,
    make: Factory,
    keeps: Sequence[Keep] = (),
    *,
    embedded: bool = True,
    reproduce: str,
    progress: Callable[[str], None] = lambda promise: None,
) -> list[Verdict]:
    """Each promise, tried on an untrained model in float64 with four prompts, padded.

    And on the embedded model with its own questions, and behind a tower that merges.

    Args:
        name: of the method.
        make: of a budget.
        keeps: the budgets to try; several of 36 patches if there are none.
        embedded: whether the embedded model is asked, too.

    Raises:
        UserError: the method does not take one of `keeps`, or none of the several.
    """
    try:
        tried = trials(make, keeps, embedded=embedded)
    except ConfigError as error:
        raise UserError(f"{name}: {error}; give --keep a budget that it takes") from error
    verdicts = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # models are small: threads would only wait for each other
    try:
        for promise, look in PROMISES.items():
            progress(promise)
            found = {str(trial): _looked(name, look, trial) for trial in tried}
            verdicts.append(_verdict(f"method/{promise}", look.__doc__ or "", found, reproduce))
    finally:
        torch.set_num_threads(threads)
    return verdicts


def _looked(name: str, look: Callable[[Trial], Found], trial: Trial) -> Found:
    """What was found; a method that raises breaks the promise at the line where it does."""
    try:
        return look(trial)
    except BaseException as error:  # whatever it is, `exit()` too; Ctrl-C goes on as that
        return Found(str(raised(name, error, f"keeping {trial.keep}")))


def _verdict(gate: str, promise: str, found: dict[str, Found], reproduce: str) -> Verdict:
    faults = {keep: each.fault for keep, each in found.items() if each.fault}
    values = [each.value for each in found.values() if each.value is not None]
    numbers: dict[str, Any] = {}
    if values:
        worst = max(values, key=lambda value: (value != value, value))  # NaN above all
        numbers = {"value": MILLION * worst, "must_be": "<=", "bound": MILLION * TOLERANCE}
    if faults:
        keep, fault = next(iter(faults.items()))
        more = len(faults) - 1
        many = f", and {more} budget{'s' * (more > 1)} more" * (more > 0)
        reason = f"{fault} (keep {keep}{many})"
    else:
        words = " ".join(promise.split("\n\n")[0].split()).rstrip(".")
        unit = "; ppm of the logits" * bool(values)
        reason = f"{words[0].lower()}{words[1:]} (keep {', '.join(found)}{unit})"
    return Verdict(
        gate=gate,
        outcome=Outcome.FAIL if faults else Outcome.PASS,
        reason=reason,
        reproduce=reproduce,
        numbers=numbers,
    )
