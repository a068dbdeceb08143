"""`demo`: one image and one question, to look at."""

from pathlib import Path
from typing import Annotated

import typer

from bench.base.errors import UserError
from bench.cli.heeded import demand_arm_heeds, demand_heeded
from bench.cli.options import (
    ArmOption,
    KeepOption,
    OwnProfileOption,
    ThresholdsOption,
    model_or_default,
)

app = typer.Typer()


@app.command()
def demo(
    context: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[IMAGE] [QUESTION]",
            help="An image file, a question, or both. Without an image one of the profile's is "
            "taken; without a question the image is described. Options may follow a question: the "
            "tiny model was taught descriptions and questions with options, nothing else.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="tiny_hybrid, llava_v1.5_7b_hybrid, or another arm of them; the profile's hybrid "
            "if not given."
        ),
    ] = None,
    profile_file: OwnProfileOption = None,
    chosen_arm: ArmOption = None,
    keep: KeepOption = None,
    thresholds: ThresholdsOption = None,
    out: Annotated[Path, typer.Option(help="Where the picture is written.")] = Path("demo.png"),
) -> None:
    """Answer one question, show tokens and time at each stage, and draw which patches were kept.

    Examples: python -m bench demo
              python -m bench demo "What is the colour of the triangle shown here? A. red B. green
              C. blue D. white"
              python -m bench demo --method divprune --keep 9
              python -m bench demo photo.jpg "What is this?" --model llava_v1.5_7b_hybrid
    """
    from rich.console import Console

    from bench.arms.models import resolve_keep
    from bench.arms.needs import prepare
    from bench.arms.profiles import load_profile, profile_of_model
    from bench.base.tables import print_line, print_table
    from bench.cost.budget import spent
    from bench.evaluation.runs.ranks import demand_alone
    from bench.report.cells import in_time
    from bench.report.demo import demonstrate
    from bench.report.terminal import print_budgets

    demand_alone()
    image, question = _image_and_question(words or [])
    named = model_or_default(model, profile_file, chosen_arm)
    name, arm = profile_of_model(named, profile_file)
    profile = load_profile(name, thresholds)
    demand_arm_heeds(profile, arm, keep=keep, thresholds=thresholds)
    if arm == "off":
        demand_heeded(context, "demo of off")
    kept = resolve_keep(keep, profile)
    prepare(profile, [] if image else [profile.data.coco or profile.prompts], work_dir=out.parent)
    shown = demonstrate(profile, arm, kept, image=image, question=question)
    console = Console()
    for answered, answer in shown.answers.items():
        print_line(console, f"{answered}: {answer}")
    print_line(console, "")
    tokens = [[stage, str(dense), str(now)] for stage, dense, now in shown.tokens]
    print_table(console, f"tokens, keep {kept}", ("stage", "dense", arm), tokens)
    print_line(console, "")
    print_budgets(spent(profile, ("dense", arm), kept))
    print_line(console, "")
    times = [[s, in_time(d), in_time(n), f"{n / d:.2f}x"] for s, d, n in shown.milliseconds]
    columns = ("stage", "dense", arm, "ratio")
    print_table(console, "time, median; decode is a token's", columns, times)
    if shown.picture is not None:
        try:
            shown.picture.save(out)
        except OSError as error:
            raise UserError(
                f"cannot write {out}: {error.strerror}; choose another --out"
            ) from error
        except ValueError as error:
            raise UserError(f"--out {out}: {error}") from error
        print_line(console, "")
        print_line(console, f"{out}: {shown.caption}")


def _image_and_question(words: list[str]) -> tuple[Path | None, str | None]:
    """One word group is an image if there is such a file, and a question if not."""
    if len(words) > 2:
        raise UserError('give at most an image and a question, the question in "quotes"')
    if len(words) == 2:
        return Path(words[0]), words[1]
    if not words:
        return None, None
    path = Path(words[0])
    looks_like_one = path.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp", ".bmp")
    return (path, None) if looks_like_one or path.is_file() else (None, words[0])
