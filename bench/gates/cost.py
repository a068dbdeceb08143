"""The cost gate: not one FLOP, byte or launch more, or less, than recorded."""

from rich.console import Console

from bench.cost import recorded
from bench.gates.goldens import refuse_under_ci
from bench.report import print_line, print_table
from bench.verdict import Outcome, Verdict

COLUMNS = ("arm", "batch", "stage", "TFLOP", "GB", "launches", "FLOPs of dense")


def cost_gate(*, reproduce: str) -> list[Verdict]:
    """One verdict over all arms, batch sizes and stages, below a table of them.

    Raises UserError if there is no record for the installed packages.
    """
    console = Console()
    now = _counted(console)
    _print(now, console)
    changes = recorded.compare(now)
    for line in changes:
        print_line(console, line)
    stages = sum(len(stages) for batches in now.values() for stages in batches.values())
    reason = f"all {stages} stages cost what is recorded"
    if changes:
        reason = (
            f"{len(changes)} of {stages} stages cost something else; "
            f"if that is intended, `{recorded.COMMAND}` and review"
        )
    return [
        Verdict(
            gate="cost",
            outcome=Outcome.FAIL if changes else Outcome.PASS,
            reason=reason,
            reproduce=reproduce,
            numbers={"value": float(len(changes)), "must_be": "<=", "bound": 0.0},
        )
    ]


def rewrite_for_review() -> None:
    """Store the costs as they are now; refused under CI."""
    refuse_under_ci()
    console = Console()
    now = _counted(console)
    recorded.rewrite(now)
    _print(now, console)
    print_line(console, f"written to {recorded.PATH}")


def _counted(console: Console) -> recorded.Costs:
    with console.status("counting") as status:
        return recorded.measure(lambda case: status.update(f"counting {case}"))


def _print(costs: recorded.Costs, console: Console) -> None:
    rows = []
    for arm, batches in costs.items():
        for batch, stages in batches.items():
            for stage, cost in stages.items():
                dense = costs["dense"][batch][stage]["flops"]
                rows.append(
                    [
                        *(arm, batch.removeprefix("batch-"), stage),
                        f"{cost['flops'] / 1e12:.4f}",
                        f"{cost['bytes_moved'] / 1e9:.2f}",
                        str(cost["launches"]),
                        f"{cost['flops'] / dense:.3f}x",
                    ]
                )
    print_table(console, "LLaVA-1.5-7B, 640 prompt tokens, counted", COLUMNS, rows)
