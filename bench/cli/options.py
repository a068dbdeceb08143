"""Options that several commands share, and the two ways in which commands end."""

import os
import sys
from collections.abc import Collection
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from bench.arms.weights import Weights
from bench.base.errors import UserError
from bench.base.home import expanded
from bench.base.shell import quoted, shell_line

if TYPE_CHECKING:
    from bench.base.verdict import Verdict
    from hybrid import Keep

ReferencesOption = Annotated[
    Path | None,
    typer.Option(help="Your own references; $VLM_HYBRID_REFERENCES or ./references if not given."),
]
OwnProfileOption = Annotated[
    str | None,
    typer.Option(
        "--profile",
        help="A profile of your own, a .toml file; --model then takes the names that it gives.",
    ),
]
ProfileOption = Annotated[str, typer.Option(help="A profile's name, or a .toml file.")]
KeepOption = Annotated[
    str | None,
    typer.Option(
        help="Visual tokens FastV keeps: a count (36), a share to remove (0.7), or none. "
        "Comes before FASTV_K, which comes before the profile."
    ),
]


def _known_arm(arm: str | None) -> str | None:
    """By the name that it has as an arm; raises UserError for none."""
    if arm is None:
        return None
    from bench.arms.own import known

    return known(arm)


ArmOption = Annotated[
    str | None,
    typer.Option(
        "--arm",
        "--method",
        callback=_known_arm,
        metavar="NAME",
        help="Which reduction: hybrid, fastv, divprune (`python -m bench methods` lists them), or "
        "a method of your own, mine.py:Mine.",
    ),
]
MethodKeepOption = Annotated[
    str | None,
    typer.Option(
        help="The method's budget: a count (36), or a share to remove (0.7); its record's if not "
        "given."
    ),
]
ThresholdsOption = Annotated[
    str | None,
    typer.Option(
        help="Merging thresholds: a file by `python -m hybrid.calibrate IMAGES --target 72`, or "
        "72out. "
        "Comes before the profile."
    ),
]
DtypeOption = Annotated[
    str | None,
    typer.Option(help="float32, float16 or bfloat16. Comes before the profile."),
]
WeightsOption = Annotated[
    Weights,
    typer.Option(
        help="random: the profile's model at its true shape with random weights, without a "
        "download; it answers nothing, but costs what the real one does."
    ),
]


def _demand_writable(folder: Path) -> Path:
    """Raises UserError before anything is asked or timed that could not be kept."""
    there = folder.absolute()
    while not os.path.lexists(there) and there != there.parent:
        there = there.parent
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"cannot write {folder}: choose another --work-dir")
    return folder


WorkDirOption = Annotated[
    Path,
    typer.Option(callback=_demand_writable, help="Where runs and reports are written."),
]
ReuseOption = Annotated[
    bool,
    typer.Option(
        "--reuse",
        help="Continue the runs in --work-dir instead of starting anew, which keeps earlier ones "
        "as .previous, .previous-2 and so on until you remove them.",
    ),
]
VerboseOption = Annotated[bool, typer.Option("--verbose", help="Print each answer as it comes.")]
LimitOption = Annotated[
    int | None, typer.Option(min=1, help="Only the first so many questions or images.")
]
BatchOption = Annotated[
    int | None, typer.Option(min=1, help="Samples at a time; the profile's if not given.")
]
MatcherOption = Annotated[
    str,
    typer.Option(
        help="How options are read from answers: vlmevalkit-2025-04, "
        "vlmevalkit-2026-06 or lmms-2024."
    ),
]
TokeniserOption = Annotated[
    str,
    typer.Option(
        help="What captions are scored as: raw, as VLMEvalKit does, or ptb, as the literature "
        "does (needs Java, adds METEOR)."
    ),
]
SpiceOption = Annotated[
    bool,
    typer.Option("--spice", help="Score captions by SPICE, too; needs --tokeniser ptb."),
]
PromptOption = Annotated[
    str,
    typer.Option(
        help="What is asked, and in which words: vlmevalkit (which has its own for each model), "
        "llava or lmms-eval for MMBench; "
        "vlmevalkit, one-sentence (lmms-eval's) or recorded-hybrid for captions."
    ),
]
NOT_JUDGED = ("work_dir", "reuse", "verbose", "history")  # options that change no verdict
DEFAULT_MATCHER = "vlmevalkit-2025-04"


class Mode(StrEnum):
    """Which part of a run is done; VLMEvalKit's names."""

    ALL = "all"
    INFER = "infer"
    EVAL = "eval"


def command_line() -> str:
    """The command as it can be typed again, FASTV_K included."""
    keep = os.environ.get("FASTV_K")
    setting = "" if keep is None else f"FASTV_K={quoted(keep)} "
    return f"{setting}{shell_line(['python', '-m', 'bench', *sys.argv[1:]])}"


def is_given(context: typer.Context, name: str) -> bool:
    """Whether the parameter `name` was typed, and is no default."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def given_options(context: typer.Context, without: Collection[str] = ()) -> list[str]:
    """What was asked of a gate, as arguments that hold in any folder: for `bench bisect`.

    FASTV_K becomes --keep. Left out is what changes no verdict, and `without`, parameters by name.
    """
    arguments: list[str] = []
    for parameter in context.command.params:
        name = str(parameter.name)
        if not is_given(context, name) or name in {*NOT_JUDGED, *without}:
            continue
        option, value = parameter.opts[0], context.params[name]
        if value is True:
            arguments.append(option)
            continue
        text = _anywhere(name, value)
        arguments += [f"{option}={text}"] if text.startswith("-") else [option, text]
    keeps = any(parameter.name == "keep" for parameter in context.command.params)
    if keeps and "--keep" not in arguments and "FASTV_K" in os.environ:
        arguments += ["--keep", os.environ["FASTV_K"]]
    return arguments


def named_with(model: str, profile_file: str | None, arm: str | None) -> str:
    """The model's name with `arm` in it. Raises UserError if it has another one."""
    if arm is None:
        return model
    from bench.arms.profiles import profile_of_model

    _, has = profile_of_model(model, profile_file)
    if has != "dense":
        dense = model.removesuffix(f"_{has}")
        raise UserError(f"--model {model} names an arm already: give {dense} with --arm {arm}")
    return model if arm == "dense" else f"{model}_{arm}"


def model_or_default(model: str | None, profile_file: str | None, arm: str | None) -> str:
    """The same where the profile's hybrid is what is meant if nothing is said."""
    from bench.arms.profiles import hybrid_of

    if model is None and arm is None:
        return hybrid_of(profile_file)
    dense = hybrid_of(profile_file).removesuffix("_hybrid")
    return named_with(model or dense, profile_file, arm)


def method_settings(arm: str | None) -> dict[str, str]:
    """What a report says of a user's own method: another text of it is another series."""
    from bench.arms.own import method_settings_of

    return {} if arm is None else method_settings_of(arm)


def budget(keep: str | None) -> "Keep | None":
    """A method's --keep. Raises UserError for none, and ConfigError for what is no budget."""
    from hybrid import Keep

    parsed = None if keep is None else Keep.parse(keep, source="--keep")
    if parsed is not None and not parsed.prunes:
        raise UserError("--keep none: give a budget, or leave it out")
    return parsed


def record_settings(arm: str | None, keep: str | None, model: str | None = None) -> dict[str, str]:
    """What a report on records says of the one arm, or model, that was asked for."""
    named = {"model": model, "arm": arm, "keep": keep}
    asked = {name: text for name, text in named.items() if text is not None}
    return asked | method_settings(arm)


def _anywhere(name: str, value: object) -> str:
    """A path in full; any other value as it is."""
    if name in ("arm", "chosen_arm"):
        from bench.arms.own import where

        return where(str(value))
    is_file = name == "profile" and str(value).endswith(".toml")
    is_file |= name == "thresholds" and Path(str(value)).is_file()
    is_file |= isinstance(value, Path)
    return str(expanded(str(value)).absolute()) if is_file else str(value)


def report_records(
    context: typer.Context,
    verdicts: "list[Verdict]",
    title: str,
    *,
    work_dir: Path,
    arm: str | None,
    keep: str | None,
    model: str | None = None,
) -> NoReturn:
    """Write what a gate on records found, and end as it means. arm, keep, model: if asked for."""
    from bench.report.history.store import history_file
    from bench.report.write import write_report

    settings, options = record_settings(arm, keep, model), given_options(context)
    write_report(
        work_dir,
        verdicts,
        title=title,
        settings=settings,
        options=options,
        history=history_file(),
    )
    leave(verdicts)


def leave(verdicts: "list[Verdict]") -> NoReturn:
    """End with the exit code that the verdicts mean."""
    from bench.base.verdict import exit_code

    raise typer.Exit(exit_code(verdicts))
