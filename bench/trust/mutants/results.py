"""What a session says: verdicts, and one table for terminal, page, markdown and JSON."""

from collections.abc import Sequence
from typing import Any

from bench.base.verdict import Outcome, Verdict
from bench.trust.mutants.gates import GOLDEN, HANG
from bench.trust.mutants.session import Result

LEAST_SHARE = 0.8  # of the model mutants that others than the goldens must catch
SHOWN = 5
COLUMNS = ("mutant", "caught by", "seconds", "what it does", "source", "how it was seen")


def verdicts_of(results: Sequence[Result], *, reproduce: str) -> list[Verdict]:
    """`mutants/caught`, and `mutants/without goldens` if there are model mutants."""
    away = [result.named.name for result in results if not result.reds]
    caught = len(results) - len(away)
    verdicts = [
        Verdict(
            gate="mutants/caught",
            outcome=Outcome.FAIL if away else Outcome.PASS,
            reason=f"{len(away)} of {len(results)} got away: {_listed(away)}"
            if away
            else f"all {len(results)} mutants caught",
            reproduce=reproduce,
            numbers={"value": float(caught), "must_be": ">=", "bound": float(len(results))},
        )
    ]
    model = [result for result in results if result.named.family == "model"]
    if not model:
        return verdicts
    unaided = [result for result in model if result.reds.keys() - {GOLDEN}]
    only = [result.named.name for result in model if result.reds.keys() == {GOLDEN}]
    share = len(unaided) / len(model)
    enough = share >= LEAST_SHARE
    reason = f"{len(unaided)} of {len(model)} model mutants are caught without goldens"
    if only:
        reason += f"; by goldens alone {_listed(only)}"
    verdicts.append(
        Verdict(
            gate="mutants/without goldens",
            outcome=Outcome.PASS if enough else Outcome.FAIL,
            reason=reason,
            reproduce=reproduce,
            numbers={"value": share, "must_be": ">=", "bound": LEAST_SHARE},
        )
    )
    return verdicts


def unexpected(results: Sequence[Result]) -> list[str]:
    """Mutants that were caught, but first by a gate that their file does not expect."""
    return [
        f"{result.named.name} expects {', '.join(result.named.mutant.expected)}, was caught by"
        f" {result.caught_by}"
        for result in results
        if result.caught_by is not None and result.caught_by not in result.named.mutant.expected
    ]


def cells(result: Result) -> list[str]:
    """One row under `COLUMNS`."""
    named = result.named
    gate = result.caught_by or "got away"
    red = result.reds.get(gate)
    how = "" if red is None else red.reason
    if red is not None and red.crash and gate != HANG:
        gate = f"{gate} (error)"
    return [named.name, gate, f"{result.seconds:.1f}", named.what, named.mutant.source, how]


def markdown(results: Sequence[Result], title: str) -> str:
    """The table for documents; how a mutant was seen is left to the page."""
    rows = [cells(result)[:-1] for result in results]
    lines = [f"# {title}", "", _row(COLUMNS[:-1]), _row(["---"] * (len(COLUMNS) - 1))]
    return "\n".join([*lines, *map(_row, rows)]) + "\n"


def to_json(results: Sequence[Result], verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """For programs."""
    return {
        "verdicts": [
            {"gate": v.gate, "outcome": str(v.outcome), "reason": v.reason} for v in verdicts
        ],
        "mutants": [
            {
                "name": result.named.name,
                "target": result.named.mutant.target,
                "what": result.named.what,
                "source": result.named.mutant.source,
                "expected": list(result.named.mutant.expected),
                "caught_by": result.caught_by,
                "reds": {
                    gate: {"reason": red.reason, "error": red.crash}
                    for gate, red in result.reds.items()
                },
                "seconds": round(result.seconds, 2),
                "cpu_seconds": round(result.cpu_seconds, 2),
            }
            for result in results
        ],
    }


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _row(row: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
