"""`syncs`: waits of the host for the device."""

from typing import Annotated

import typer

from bench.cli.options import KeepOption, command_line, leave
from bench.errors import UserError

app = typer.Typer()


@app.command()
def syncs(
    model: Annotated[str, typer.Option(help="The model that is watched.")] = "tiny_hybrid",
    keep: KeepOption = None,
    static: Annotated[
        bool, typer.Option("--static", help="Only check the source of `hybrid`, run nothing.")
    ] = False,
    trace: Annotated[
        bool, typer.Option("--trace", help="Print every wait with its stack, and judge nothing.")
    ] = False,
    compare: Annotated[
        str | None, typer.Option(help="Count another model's waits beside this one's.")
    ] = None,
) -> None:
    """Gate on waits of the host for the device: none before the answer is read back.

    Example: python -m bench syncs --model tiny_hybrid --compare tiny
    """
    from bench.gates.waits import NEW_TOKENS, static_verdict, waits_gate, watch
    from bench.models import resolve_keep
    from bench.profiles import load_profile, profile_of_model
    from bench.report import print_verdicts

    if static:
        verdicts = [static_verdict(reproduce=command_line())]
        print_verdicts(verdicts, title="waits")
        leave(verdicts)
    name, arm = profile_of_model(model)
    profile = load_profile(name)
    kept = resolve_keep(keep, profile)
    if trace:
        print(watch(profile, arm, kept, stack=True).text())
        return
    if compare is not None:
        for other in (model, compare):
            other_name, other_arm = profile_of_model(other)
            report = watch(load_profile(other_name), other_arm, kept)
            print(f"{other}: {report.count / NEW_TOKENS:.2f} waits a token\n{report.text()}\n")
        return
    if arm == "dense":
        raise UserError(f"{model} is transformers' own and has no ledger: use --trace or --compare")
    verdicts = waits_gate(profile, arm, kept, reproduce=command_line())
    print_verdicts(verdicts, title=f"waits: {model}, keep {kept}")
    leave(verdicts)
