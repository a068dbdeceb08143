"""The cost gate: not one FLOP, byte or launch more, or less, than recorded."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product

from rich.console import Console

from bench.arms.own import demand_budgeted, known, raised
from bench.arms.published import METHODS
from bench.base.errors import UserError
from bench.base.tables import print_line, print_table
from bench.base.verdict import Verdict
from bench.cost import recorded
from bench.cost.count import Cost
from bench.cost.gpu import Gpu, load_gpu
from bench.cost.predict import predict
from bench.cost.roofline import Wall
from bench.cost.stages import (
    ARMS,
    BATCHES,
    CASES,
    TOKENS,
    config_cost,
    cost_of,
    recorded_keep,
)
from bench.gates.goldens import recorded_verdict, refuse_under_ci, unrecorded
from hybrid import HybridConfig, Keep

COLUMNS = (
    *("arm", "batch", "stage", "TFLOP", "GB moved", "launches", "peak MB", "cache MB"),
    "FLOPs of dense",
)
PREDICTED = (
    *("arm", "batch", "stage", "compute", "+ weights", "+ bandwidth", "= device ms"),
    *("launches", "eager ms", "takes ms", "wall", "graphed ms", "takes ms", "wall"),
)
MODEL = f"LLaVA-1.5-7B, {TOKENS} prompt tokens"


def cost_gate(*, reproduce: str) -> list[Verdict]:
    """One verdict over all arms, batch sizes and stages, below a table of them.

    Raises UserError if there is no record for the installed packages, or somebody edited it.
    """
    console = Console()
    recorded.load()  # a record that is missing or edited is said before the counting
    now = _counted(console)
    _print(now, console)
    changes = recorded.compare(now)
    for stage, line in changes.items():
        print_line(console, f"{stage}: {line}")
    total = sum(len(stages) for batches in now.values() for stages in batches.values())
    verdict = recorded_verdict(
        "cost", list(changes), total, regenerate=recorded.COMMAND, reproduce=reproduce
    )
    return [verdict]


def arm_cost(arm: str, keep: Keep | None, *, reproduce: str) -> list[Verdict]:
    """The same of one arm beside dense: by its record, or shown and UNSURE where there is none.

    Args:
        arm: that the record has, or a method.
        keep: the budget; the record's if None, and of a method without one 64.

    Raises:
        UserError: there is no such method, it takes no such budget, or raises.
    """
    console = Console()
    if _has_record(arm, keep):
        counted = tuple(dict.fromkeys(("dense", arm)))
        now = recorded.measure(arms=counted)
        now = {name: {batch: now[name][batch] for batch in now[arm]} for name in counted}
        _print(now, console)
        changes = recorded.compare(now, {name: tuple(now[arm]) for name in counted})
        for stage, line in changes.items():
            print_line(console, f"{stage}: {line}")
        total = sum(len(stages) for batches in now.values() for stages in batches.values())
        return [
            recorded_verdict(
                "cost", list(changes), total, regenerate=recorded.COMMAND, reproduce=reproduce
            )
        ]
    name, batch = known(arm), BATCHES[-1]
    asked = keep or recorded_keep(name)
    costs = {"dense": cost_of("dense", batch), name: _costs_at(name, asked, batch)}
    shown = {
        each: {f"batch-{batch}": {stage: cost.to_json() for stage, cost in stages.items()}}
        for each, stages in costs.items()
    }
    _print(shown, console)
    ships = ARMS.get(name)
    other = recorded_keep(name) if name in METHODS else None if ships is None else ships.budget
    return [unrecorded("cost", name, asked, other, reproduce=reproduce)]


def _has_record(arm: str, keep: Keep | None) -> bool:
    return arm in ARMS and (keep is None or (arm in METHODS and keep == recorded_keep(arm)))


def _costs_at(arm: str, keep: Keep, batch: int) -> Mapping[str, Cost]:
    """Raises UserError for an arm that takes no such budget, or asks for values."""
    config = _at_budget(arm, keep)
    try:
        return config_cost(config, batch)
    except BaseException as error:
        doing = f"counting keep {keep} of 576 patches on tensors without values"
        raise raised(arm, error, doing) from error


def _costs_of(arm: str, keep: Keep | None, batch: int) -> Mapping[str, Cost]:
    """As it is recorded, or at another budget. Raises UserError as `_costs_at` does."""
    if _has_record(arm, keep):
        return cost_of(arm, batch)
    return _costs_at(arm, keep or recorded_keep(arm), batch)


def _at_budget(arm: str, keep: Keep) -> HybridConfig:
    """Raises UserError for an arm that keeps every token, or that there is none of."""
    ships = ARMS.get(arm)
    if ships is not None and ships.budget.prunes:
        return replace(ships, keep=keep)
    if arm in ARMS and arm not in METHODS:
        raise UserError(f"--keep {keep}: {arm} keeps every visual token: leave it out")
    _, make = demand_budgeted(arm)
    return HybridConfig(method=(make(keep),))


def rewrite_for_review() -> None:
    """Store the costs as they are now; refused under CI."""
    refuse_under_ci()
    console = Console()
    now = _counted(console)
    recorded.rewrite(now)
    _print(now, console)
    print_line(console, f"written to {recorded.PATH}")


def print_predictions(source: str, arm: str | None = None, keep: Keep | None = None) -> None:
    """A table of what each stage takes on a GPU, with the arithmetic; judges nothing.

    Args:
        source: the GPU, by name or file.
        arm: to predict beside dense, at each batch size; all that have a record if None.
        keep: its budget; the record's if None, and of a method without one 64.

    Raises:
        UserError: a GPU that is neither known nor described by a file; no such method, it takes no
            such budget, or raises.
    """
    gpu = load_gpu(source)
    console = Console()
    keeps = {} if arm is None else {"dense": None, arm: keep}
    rows = []
    with console.status("counting") as status:
        for name, batch in product(keeps, BATCHES) if keeps else CASES:
            status.update(f"counting {name}, batch {batch}")
            for stage, cost in _costs_of(name, keeps.get(name), batch).items():
                rows.append([name, str(batch), stage, *_prediction(cost, gpu)])
    title = MODEL
    if arm is not None and (keep is not None or arm in METHODS or arm not in ARMS):
        title += f", {arm} at keep {keep or recorded_keep(arm)}"
    print_table(console, f"{title}, predicted on {gpu.ceiling.name}", PREDICTED, rows)
    for line in _arithmetic(gpu):
        print_line(console, line)


def _prediction(cost: Cost, gpu: Gpu) -> Sequence[str]:
    found = predict(cost, gpu)
    walls = (Wall.COMPUTE, Wall.WEIGHTS, Wall.BANDWIDTH)
    cells = [*(_ms(found.spent[wall]) for wall in walls), _ms(found.device), str(cost.launches)]
    for submitting in (found.eager, found.graphed):
        cells += [_ms(submitting), _ms(found.seconds(submitting)), str(found.wall(submitting))]
    return cells


def _arithmetic(gpu: Gpu) -> list[str]:
    ceiling = gpu.ceiling
    return [
        f"device: each operator takes the longer of FLOPs / {ceiling.flops_per_s / 1e12:g} TFLOP/s"
        f" and bytes / {ceiling.bytes_per_s / 1e12:g} TB/s; memory time counts as weights where"
        " these are half of an operator's bytes",
        f"eager: launches x {1e6 * gpu.eager_launch_s:g} us; graphed: launches x "
        f"{1e6 * gpu.graphed_launch_s:g} us; a stage takes the longer of these and the device",
    ]


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:.2f}"


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
                        f"{cost['peak_bytes'] / 1e6:.2f}",
                        f"{cost['cache_bytes'] / 1e6:.0f}",
                        f"{cost['flops'] / dense:.3f}x",
                    ]
                )
    print_table(console, f"{MODEL}, counted", COLUMNS, rows)
