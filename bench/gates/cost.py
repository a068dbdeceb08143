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
from bench.cost.models import ARMS, LLAVA, MODELS, Model, recorded_keep
from bench.cost.predict import predict
from bench.cost.roofline import Wall
from bench.cost.stages import config_cost, cost_of
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


def cost_gate(models: Sequence[Model] = MODELS, *, reproduce: str) -> list[Verdict]:
    """One verdict over all arms, batch sizes and stages of `models`, below a table of each.

    Raises UserError if there is no record for the installed packages, or somebody edited it.
    """
    console = Console()
    for model in models:
        recorded.load(model)  # a record that is missing or edited is said before the counting
    changed, total = list[str](), 0
    for model in models:
        now = _counted(model, console)
        _print(model, now, console)
        changed += _changed(model, recorded.compare(now, model), console)
        total += _stages(now)
    verdict = recorded_verdict(
        "cost", changed, total, regenerate=recorded.COMMAND, reproduce=reproduce
    )
    return [verdict]


def arm_cost(arm: str, keep: Keep | None, model: Model = LLAVA, *, reproduce: str) -> list[Verdict]:
    """The same of one arm beside dense: by its record, or shown and UNSURE where there is none.

    Args:
        arm: that a record has, or a method.
        keep: the budget; the record's if None, and of a method without one 64.

    Raises:
        UserError: there is no such method, it takes no such budget, or raises.
        ConfigError: it does not fit the model.
    """
    console = Console()
    if _has_record(model, arm, keep):
        counted = tuple(dict.fromkeys(("dense", arm)))
        now = recorded.measure(model=model, arms=counted)
        now = {name: {batch: now[name][batch] for batch in now[arm]} for name in counted}
        _print(model, now, console)
        only = {name: tuple(now[arm]) for name in counted}
        changed = _changed(model, recorded.compare(now, model, only), console)
        return [
            recorded_verdict(
                "cost", changed, _stages(now), regenerate=recorded.COMMAND, reproduce=reproduce
            )
        ]
    name, batch = known(arm), model.batches[-1]
    ships = ARMS.get(name)
    own = recorded_keep(name) if name in METHODS or ships is None else ships.budget
    other = own if name in model.arms else None
    costs = {each: _costs_of(model, each, asked, batch) for each, asked in _beside(name, keep)}
    shown = {
        each: {f"batch-{batch}": {stage: cost.to_json() for stage, cost in stages.items()}}
        for each, stages in costs.items()
    }
    _print(model, shown, console)
    return [unrecorded("cost", name, keep or own, other, reproduce=reproduce)]


def _beside(arm: str, keep: Keep | None) -> Sequence[tuple[str, Keep | None]]:
    return [("dense", None), (arm, keep)] if arm != "dense" else [(arm, keep)]


def _has_record(model: Model, arm: str, keep: Keep | None) -> bool:
    return arm in model.arms and (keep is None or (arm in METHODS and keep == recorded_keep(arm)))


def _costs_of(model: Model, arm: str, keep: Keep | None, batch: int) -> Mapping[str, Cost]:
    """As it ships, or at another budget.

    Raises:
        UserError: an arm takes no such budget, or asks for values.
        ConfigError: one that ships does not fit the model.
    """
    if arm in ARMS and (keep is None or _has_record(model, arm, keep)):
        return cost_of(arm, batch, model)
    asked = keep or recorded_keep(arm)
    config = _at_budget(arm, asked)
    try:
        return config_cost(config, batch, model)
    except BaseException as error:
        doing = f"counting keep {asked} of {model.patches} patches on tensors without values"
        raise raised(arm, error, doing) from error


def _at_budget(arm: str, keep: Keep) -> HybridConfig:
    """Raises UserError for an arm that keeps every token, or that there is none of."""
    ships = ARMS.get(arm)
    if ships is not None and ships.budget.prunes:
        return replace(ships, keep=keep)
    if arm in ARMS and arm not in METHODS:
        raise UserError(f"--keep {keep}: {arm} keeps every visual token: leave it out")
    _, make = demand_budgeted(arm)
    return HybridConfig(method=(make(keep),))


def rewrite_for_review(models: Sequence[Model] = MODELS) -> None:
    """Store the costs as they are now; refused under CI."""
    refuse_under_ci()
    console = Console()
    for model in models:
        now = _counted(model, console)
        recorded.rewrite(now, model)
        _print(model, now, console)
        print_line(console, f"written to {recorded.path_of(model)}")


def print_predictions(
    source: str, model: Model = LLAVA, arm: str | None = None, keep: Keep | None = None
) -> None:
    """A table of what each stage takes on a GPU, with the arithmetic; judges nothing.

    Args:
        source: the GPU, by name or file.
        model: whose stages.
        arm: to predict beside dense, at each batch size; all that have a record if None.
        keep: its budget; the record's if None, and of a method without one 64.

    Raises:
        UserError: a GPU that is neither known nor described by a file; no such method, it takes no
            such budget, or raises.
        ConfigError: it does not fit the model.
    """
    gpu = load_gpu(source)
    console = Console()
    keeps = {} if arm is None else dict(_beside(arm, keep))
    rows = []
    with console.status("counting") as status:
        for name, batch in product(keeps, model.batches) if keeps else model.cases:
            status.update(f"counting {name}, batch {batch}")
            for stage, cost in _costs_of(model, name, keeps.get(name), batch).items():
                rows.append([name, str(batch), stage, *_prediction(cost, gpu)])
    title = model.says
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


def _counted(model: Model, console: Console) -> recorded.Costs:
    with console.status("counting") as status:
        return recorded.measure(lambda case: status.update(f"counting {case}"), model)


def _changed(model: Model, changes: Mapping[str, str], console: Console) -> list[str]:
    """The stages' names, as they stand in a verdict, after a line on each."""
    for stage, line in changes.items():
        print_line(console, f"{model.name}, {stage}: {line}")
    return [f"{model.name}, {stage}" for stage in changes]


def _stages(costs: recorded.Costs) -> int:
    return sum(len(stages) for batches in costs.values() for stages in batches.values())


def _print(model: Model, costs: recorded.Costs, console: Console) -> None:
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
    print_table(console, f"{model.says}, counted", COLUMNS, rows)
