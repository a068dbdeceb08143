"""The targets, judged from measured numbers alone; a number that is not there is not a pass."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.base.verdict import Outcome, decide
from bench.gates.gpucheck.parts import ANSWER_TOKENS, CAPTION_TOKENS, HYBRID, latency_part
from bench.gates.gpucheck.subject import COCO_KEEP, GRAPHED

NOT_MEASURED = "not measured"
COLUMNS = ("target", "result", "value", "interval", "bound", "of which")
MMBENCH_ARM, COCO_ARM = f"{HYBRID} {GRAPHED}", f"hybrid {COCO_KEEP} {GRAPHED}"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One target. outcome: None if it was not measured; `note` then says why."""

    target: str
    outcome: Outcome | None
    must_be: str
    bound: float
    value: float | None = None
    low: float | None = None
    high: float | None = None
    note: str = ""

    def cells(self) -> list[str]:
        """In the order of COLUMNS."""
        interval = "too few blocks" if self.outcome is Outcome.UNSURE else ""
        if self.low is not None or self.high is not None:
            interval = f"[{_shown(self.low)}, {_shown(self.high)}]"
        return [
            self.target,
            str(self.outcome) if self.outcome is not None else NOT_MEASURED,
            "" if self.value is None else _shown(self.value),
            interval,
            f"{self.must_be} {self.bound:g}",
            self.note,
        ]


@dataclass(frozen=True, kw_only=True)
class Target:
    """judge: the part's numbers -> the row; raises KeyError where one is missing."""

    name: str
    part: str
    must_be: str
    bound: float
    judge: Callable[["Target", Mapping[str, Any]], Row]


def gain(arm: str, stage: str) -> Callable[[Target, Mapping[str, Any]], Row]:
    """How many times faster than dense: at least the bound."""

    def judge(target: Target, part: Mapping[str, Any]) -> Row:
        found = part["arms"][arm]
        ratio, steps = found["against_dense"][stage], found["gain"][stage]
        low = None if ratio["high"] is None else 1 / ratio["high"]
        high = None if not ratio["low"] else 1 / ratio["low"]
        return Row(
            target=target.name,
            outcome=decide(
                passes=low is not None and low >= target.bound,
                fails=high is not None and high < target.bound,
            ),
            must_be=target.must_be,
            bound=target.bound,
            value=1 / ratio["value"],
            low=low,
            high=high,
            note=" x ".join(f"{times:.2f} {step}" for step, times in steps.items()),
        )

    return judge


def floor(arm: str, stage: str) -> Callable[[Target, Mapping[str, Any]], Row]:
    """How many times its floor: at most the bound."""

    def judge(target: Target, part: Mapping[str, Any]) -> Row:
        found = part["arms"][arm]["stages"][stage]
        if "against_floor" not in found:
            return missing(target, "this GPU's rates are not in bench/cost/gpus.toml: add them")
        ratio = found["against_floor"]
        low, high = ratio["low"] or None, ratio["high"]
        return Row(
            target=target.name,
            outcome=decide(
                passes=high is not None and high <= target.bound,
                fails=low is not None and low > target.bound,
            ),
            must_be=target.must_be,
            bound=target.bound,
            value=ratio["value"],
            low=low,
            high=high,
            note=f"{found['p50_ms']:.2f} ms, {found['wall']} floor {found['floor_ms']:.2f} ms",
        )

    return judge


def no_waits(target: Target, part: Mapping[str, Any]) -> Row:
    """Every verdict of the sync tier passed."""
    verdicts = part["verdicts"]
    failed = [v for v in verdicts if v["outcome"] != Outcome.PASS]
    note = f"{len(verdicts)} proofs"
    if failed:
        note = f"{failed[0]['gate']}: {failed[0]['reason']}"
    return _counted(target, len(failed), note if verdicts else None)


def replay_is_eager(target: Target, part: Mapping[str, Any]) -> Row:
    """Tokens and logits of every reduction and batch size, as `parts.Compared.equal` has it."""
    compared = part["compared"]
    unequal = [one for one in compared if not one["equal"]]
    ties = sum(one["near_ties"] for one in compared)
    note = f"{sum(one['steps'] for one in compared)} tokens, {ties} near-ties"
    if unequal:
        one = unequal[0]
        note = (
            f"{one['reduction']}, batch {one['batch']}: {one['wrong']} tokens differ, logits by"
            f" {one['difference']:.3g}, at most {one['allowed']:.3g} is rounding"
        )
    return _counted(target, len(unequal), note if compared else None)


TARGETS = (
    Target(name="waits", part="waits", must_be="<=", bound=0, judge=no_waits),
    Target(
        name="replays unlike eager", part="replay", must_be="<=", bound=0, judge=replay_is_eager
    ),
    Target(
        name="MMBench answer against dense, batch 1",
        part=latency_part(1, ANSWER_TOKENS),
        must_be=">=",
        bound=4.0,
        judge=gain(MMBENCH_ARM, "answer"),
    ),
    Target(
        name="caption against dense, batch 1",
        part=latency_part(1, CAPTION_TOKENS),
        must_be=">=",
        bound=3.5,
        judge=gain(COCO_ARM, "answer"),
    ),
    Target(
        name="decode step against its floor, batch 1",
        part=latency_part(1, CAPTION_TOKENS),
        must_be="<=",
        bound=1.5,
        judge=floor(COCO_ARM, "decode"),
    ),
    Target(
        name="prefill against its roofline, batch 1",
        part=latency_part(1, ANSWER_TOKENS),
        must_be="<=",
        bound=1.6,
        judge=floor(MMBENCH_ARM, "prefill"),
    ),
    Target(
        name="prefill against dense, batch 8",
        part=latency_part(8, ANSWER_TOKENS),
        must_be=">=",
        bound=3.0,
        judge=gain(MMBENCH_ARM, "prefill"),
    ),
)


def judge(document: Mapping[str, Any]) -> list[Row]:
    """Every target, from what `check` wrote."""
    rows = []
    for target in TARGETS:
        part = document["parts"].get(target.part)
        if part is None:
            reason = document["missing"].get(target.part, "the part did not run")
            rows.append(missing(target, reason))
            continue
        try:
            rows.append(target.judge(target, part))
        except KeyError as error:
            rows.append(missing(target, f"{error} is not in part {target.part!r}"))
    return rows


def exit_code(rows: Sequence[Row]) -> int:
    """2 if a target was not measured, else 1 if one was missed, else 3 if one is unsure, else 0."""
    outcomes = {row.outcome for row in rows}
    if None in outcomes or not rows:
        return 2
    if Outcome.FAIL in outcomes:
        return 1
    return 3 if Outcome.UNSURE in outcomes else 0


def missing(target: Target, reason: str) -> Row:
    """Not measured, and why."""
    return Row(
        target=target.name, outcome=None, must_be=target.must_be, bound=target.bound, note=reason
    )


def _counted(target: Target, count: int, note: str | None) -> Row:
    """note: None if nothing was looked at."""
    if note is None:
        return missing(target, "nothing was compared")
    return Row(
        target=target.name,
        outcome=Outcome.FAIL if count else Outcome.PASS,
        must_be=target.must_be,
        bound=target.bound,
        value=float(count),
        note=note,
    )


def _shown(number: float | None) -> str:
    return "?" if number is None else f"{number:.2f}"
