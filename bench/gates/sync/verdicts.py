"""The sync gate: no wait that the ledger does not list, and no ledger entry that nothing needs."""

from collections.abc import Mapping, Sequence

from bench.base.errors import UserError
from bench.base.verdict import Outcome, Verdict
from bench.gates.sync.ledger import Entry, compare
from bench.syncs.report import Report


def syncs_gate(
    reports: Mapping[str, Report], ledger: Sequence[Entry], *, reproduce: str
) -> list[Verdict]:
    """Judge each scenario's report by the ledger: `syncs/{scenario}`, PASS or FAIL.

    Raises UserError if nothing was watched, or if the ledger lists a scenario that was not: an
    entry that is never looked at would stay for ever.
    """
    if not reports:
        raise UserError("no run was watched for waits: name at least one scenario")
    unwatched = sorted({entry.scenario for entry in ledger} - reports.keys())
    if unwatched:
        raise UserError(f"the ledger lists scenario {unwatched[0]!r}, which was not run; run it")
    return [_verdict(scenario, report, ledger, reproduce) for scenario, report in reports.items()]


def _verdict(scenario: str, report: Report, ledger: Sequence[Entry], reproduce: str) -> Verdict:
    problems = compare(scenario, report, ledger)
    allowed = sum(entry.count for entry in ledger if entry.scenario == scenario)
    if problems:
        rest = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        reason = f"{problems[0]}{rest}"
    else:
        reason = f"{report.count} waits, each of them in the ledger" if allowed else "no waits"
    return Verdict(
        gate=f"syncs/{scenario}",
        outcome=Outcome.FAIL if problems else Outcome.PASS,
        reason=reason,
        reproduce=reproduce,
        numbers={
            "value": float(report.count),
            "must_be": "<=",
            "bound": float(allowed),
            "sites": float(len(report.findings)),
            "problems": float(len(problems)),
        },
    )
