"""`edited`: what a change edits of what judges it."""

from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def edited(
    base: Annotated[str, typer.Option(help="Where the change goes; main, or any revision.")],
) -> None:
    """List what a change edits of what judges it: goldens, references, bounds, workflows.

    Against the merge base with --base, with what is not committed. Judges nothing: exit code 0.

    Example: python -m bench edited --base main
    """
    from bench.base.printable import printable
    from bench.report.edited import edited_since

    found = edited_since(base)
    print("This change edits what judges it:" if found else "This change edits nothing that judges")
    for path in found:
        print(f"- {printable(path)}")
