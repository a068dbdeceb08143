"""`init`: a profile for a checkpoint and data of one's own."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.base.errors import UserError
from bench.base.shell import shell_line

if TYPE_CHECKING:
    from bench.arms.profiles.draft import Draft
    from bench.tasks.task import Kind

app = typer.Typer()


@app.command()
def init(
    checkpoint: Annotated[
        str,
        typer.Option(help="A LLaVA-1.5: its folder, or a Hugging Face id that is in the cache."),
    ],
    data: Annotated[
        str | None,
        typer.Option(help="Multiple choice: a .tsv file, hf:OWNER/NAME:SPLIT, or a known name."),
    ] = None,
    captions: Annotated[str | None, typer.Option(help="Captions, likewise.")] = None,
    out: Annotated[Path, typer.Option(help="The profile that is written.")] = Path("my.toml"),
    force: Annotated[bool, typer.Option("--force", help="Replace --out if it is there.")] = False,
) -> None:
    """Write a commented profile for a checkpoint and data of your own, checked; loads no weights.

    Example: python -m bench init --checkpoint llava-hf/llava-1.5-7b-hf --data my.tsv
    """
    _demand_place(out, force=force)
    sources: dict[Kind, str] = {}
    if data is not None:
        sources["mmbench"] = data
    if captions is not None:
        sources["coco"] = captions
    if not sources:
        raise UserError("init needs data to ask: give --data with a .tsv file, or --captions")
    from bench.arms.profiles.draft import draft
    from bench.base.atomic import write_atomically
    from bench.base.printable import printable

    found = draft(checkpoint, sources, out)
    write_atomically(out, found.text.encode())
    for line in _told(found, sources, out):
        typer.echo(printable(line))


def _demand_place(out: Path, *, force: bool) -> None:
    """Raises UserError unless a profile can be written there, and nothing is lost by it."""
    if out.suffix != ".toml":
        raise UserError(f"--out {out}: a profile's name ends in .toml")
    if not out.parent.is_dir():
        raise UserError(f"--out {out}: there is no folder {out.parent}: make it, or name another")
    if out.is_dir():
        raise UserError(f"--out {out} is a folder: name another file")
    if os.path.lexists(out) and not force:
        raise UserError(f"--out {out} is there already: name another, or replace it with --force")


def _told(found: "Draft", sources: "dict[Kind, str]", out: Path) -> list[str]:
    profile = found.profile
    lines = [f"written to {out}: {found.patches} visual tokens, keep {profile.reduction.keep}"]
    for kind, task in found.tasks.items():
        groups = {task.group_key(index) for index in task.indices}
        what = "questions" if kind == "mmbench" else "images"
        lines.append(f"{sources[kind]}: {len(groups)} {what} in {len(task.indices)} rows")
    lines.append("merging is off until thresholds are calibrated: the file says how")
    lines.append("next:")
    lines += [f"  {command}" for command in next_commands(found, sources, out)]
    lines.append("and once [gates.latency] is uncommented in the file:")
    lines.append(f"  {_typed('latency', '--profile', out)}")
    return lines


def next_commands(found: "Draft", sources: "dict[Kind, str]", out: Path) -> list[str]:
    """What is typed after `init`, in this order; compare takes the runs that accuracy leaves."""
    names = found.profile.model.names
    kind, task = next(iter(found.tasks.items()))
    hybrid = f"{names}_hybrid"
    runs = [str(Path("outputs") / model / task.name) for model in (names, hybrid)]
    return [
        _typed("demo", "--profile", out),
        _typed("run", "--profile", out, "--model", hybrid, "--data", sources[kind]),
        _typed("accuracy", "--profile", out),
        _typed("compare", *runs, "--profile", out),
        _typed("syncs", "--profile", out),
    ]


def _typed(*words: str | Path) -> str:
    """A command as a shell takes it; a path that begins with a dash is no option."""
    paths = [
        f"./{word}" if isinstance(word, Path) and str(word)[0] == "-" else str(word)
        for word in words
    ]
    return shell_line(["python", "-m", "bench", *paths])
