"""`syncs`: waits of the host for the device."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.arms.weights import Weights
from bench.base.errors import UserError
from bench.cli.heeded import demand_arm_heeds, demand_heeded
from bench.cli.options import (
    ArmOption,
    KeepOption,
    OwnProfileOption,
    WeightsOption,
    WorkDirOption,
    command_line,
    given_options,
    leave,
    method_settings,
    model_or_default,
)

if TYPE_CHECKING:
    from bench.base.verdict import Verdict
    from bench.gates.sync.gate import Watched
    from bench.gates.sync.subjects import Subject

app = typer.Typer()


@app.command()
def syncs(
    context: typer.Context,
    model: Annotated[
        str | None,
        typer.Option(help="The model that is watched; tiny_hybrid, or the profile's hybrid."),
    ] = None,
    profile_file: OwnProfileOption = None,
    chosen_arm: ArmOption = None,
    keep: KeepOption = None,
    weights: WeightsOption = Weights.CHECKPOINT,
    static: Annotated[
        bool, typer.Option("--static", help="Only check the source of `hybrid`, run nothing.")
    ] = False,
    trace: Annotated[
        bool, typer.Option("--trace", help="Print every wait with its stack, and judge nothing.")
    ] = False,
    stack: Annotated[
        bool, typer.Option("--stack", help="Print the lines that led to each wait, too.")
    ] = False,
    compare: Annotated[
        str | None, typer.Option(help="Count another model's waits beside this one's.")
    ] = None,
    require_gpu: Annotated[
        bool, typer.Option("--require-gpu", help="Without a CUDA device, end in an error.")
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write what is printed as JSON, too.")
    ] = None,
    work_dir: WorkDirOption = Path("outputs"),
) -> None:
    """Gate on waits of the host for the device: none before the answer is read back.

    `sync` is the same command.

    Two tiers: one on the CPU, which plays the device, anywhere; one that asks CUDA, on a GPU.
    A profile that needs a GPU is watched on a small untrained model of its architecture. With
    --weights random its code is run at its true shape, too: on tensors without values, and on a
    GPU, if there is one.

    Example: python -m bench syncs --model tiny_hybrid --compare tiny
             python -m bench syncs --model llava_v1.5_7b_hybrid --weights random
    """
    if static:
        demand_heeded(context, "syncs --static")
        from bench.gates.sync.gate import static_verdict
        from bench.report.terminal import print_verdicts

        verdicts = [static_verdict(reproduce=command_line())]
        print_verdicts(verdicts, title="waits")
        leave(verdicts)
    from bench.arms.profiles import load_profile, profile_of_model
    from bench.gates.sync.gate import watch
    from bench.gates.sync.subjects import subject
    from bench.report.history.store import history_file
    from bench.report.write import write_report
    from bench.syncs.cuda import has_gpu

    if trace or compare is not None:
        demand_heeded(context, "syncs unjudged")
    gpu = has_gpu()
    if require_gpu and not gpu:
        raise UserError(
            "--require-gpu: torch sees no CUDA device; run this on a machine with one and a CUDA"
            " build of torch, or leave the flag out"
        )
    watched_model = model_or_default(model, profile_file, chosen_arm)
    names = [watched_model] if compare is None else [watched_model, compare]
    subjects = [subject(name, keep, profile_file=profile_file, weights=weights) for name in names]
    if keep is not None and not any(of.config and of.config.budget.prunes for of in subjects):
        profile, arm = profile_of_model(watched_model, profile_file)
        demand_arm_heeds(load_profile(profile), arm, keep=keep, thresholds=None)
    for note in (of.note for of in subjects if of.note):
        typer.echo(note)
    if trace or compare is not None:
        watched = {of.name: watch(of, stack=stack or trace) for of in subjects}
        _print_comparison(watched)
        _write(json_file, {name: _document(w) for name, w in watched.items()})
        return
    verdicts = _judge(
        subjects[0],
        gpu=gpu,
        weights=weights,
        stack=stack,
        keep=keep,
        profile_file=profile_file,
        json_file=json_file,
    )
    settings = {"model": watched_model, **({} if keep is None else {"keep": keep})}
    settings |= method_settings(chosen_arm)
    options = given_options(context, without=("json_file", "stack"))
    write_report(
        work_dir,
        verdicts,
        title="syncs",
        settings=settings,
        options=options,
        history=history_file(),
    )
    leave(verdicts)


def _judge(
    of: "Subject",
    *,
    gpu: bool,
    weights: Weights,
    stack: bool,
    keep: str | None,
    profile_file: str | None,
    json_file: Path | None,
) -> "list[Verdict]":
    from bench.gates.sync.gate import waits_gate, watch
    from bench.gates.sync.subjects import subject
    from bench.report.terminal import print_verdicts
    from bench.syncs.cuda import SKIPPED

    if of.config is None:
        raise UserError(
            f"{of.name} is transformers' own and has no ledger: use --trace or --compare"
        )
    watched = watch(of, stack=stack)
    verdicts = waits_gate(of, watched, reproduce=command_line())
    document: dict[str, Any] = {"model": of.name, "keep": str(of.config.budget)}
    document |= {"cpu": _document(watched), "gpu": SKIPPED}
    print(watched.report.text())
    if gpu:
        from bench.gates.sync.gpu import full_size_gate, gpu_gate
        from bench.gates.sync.subjects import full_size
        from hybrid.graphs import GraphedLlava

        on_gpu = subject(of.name, keep, profile_file=profile_file, device="cuda", weights=weights)
        more, report = gpu_gate(on_gpu, reproduce=command_line(), stack=stack)
        verdicts += more
        if weights is Weights.RANDOM:
            large = full_size(of.name, keep, "cuda", profile_file)
            verdicts += full_size_gate(large, GraphedLlava, reproduce=command_line())
        document["gpu"] = report.document()
        print(report.text())
    else:
        print(SKIPPED)
    print_verdicts(verdicts, title=f"waits: {of.name}, keep {keep or of.config.budget}")
    document["verdicts"] = [
        {"gate": v.gate, "outcome": str(v.outcome), "reason": v.reason} for v in verdicts
    ]
    _write(json_file, document)
    return verdicts


def _print_comparison(watched: "dict[str, Watched]") -> None:
    for name, run in watched.items():
        waits = f"{run.report.count} waits for {run.new_tokens} tokens"
        print(f"{name}: {run.per_token:.2f} waits a token ({waits})\n{run.report.text()}\n")


def _document(run: "Watched") -> dict[str, Any]:
    return {**run.report.document(), "new_tokens": run.new_tokens}


def _write(file: Path | None, document: dict[str, Any]) -> None:
    if file is None:
        return
    import json

    from bench.base.atomic import write_atomically

    write_atomically(file, (json.dumps(document, indent=2) + "\n").encode())
