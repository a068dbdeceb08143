"""`bisect`: the commit that turned a gate red."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def bisect(
    good: Annotated[str, typer.Argument(help="A commit at which the gate is green.")],
    bad: Annotated[str, typer.Argument(help="A later one at which it is red.")],
    options: Annotated[
        list[str] | None, typer.Argument(help="Behind --: more options of the gate.")
    ] = None,
    gate: Annotated[str, typer.Option(help="latency, accuracy, cost, golden or syncs.")] = "golden",
) -> None:
    """Find the commit that turned a gate red; `git bisect run` in a worktree of its own.

    Each commit is judged by its own code and its own records; one that is UNSURE or cannot run is
    skipped. Exit codes: 0 found, 3 several commits are left, 2 the search could not start.

    Example: python -m bench bisect main~20 main --gate accuracy -- --keep 36
    """
    from bench.gates.bisect import bisect as search
    from bench.gates.bisect.story import tell

    repository = Path.cwd()
    found = search(repository, good, bad, gate, options or [])
    print(tell(repository, found))
    if len(found.commits) > 1:
        raise typer.Exit(3)
