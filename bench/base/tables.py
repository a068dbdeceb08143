"""Tables and lines on a terminal; aligned text that is never wrapped in a log."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.base.printable import printable


def print_table(
    console: Console,
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    colours: Sequence[str] = (),
) -> None:
    """A table on a terminal, aligned text in a log. colours: of each row's second cell."""
    title, rows = printable(title), [[printable(cell) for cell in row] for row in rows]
    colours = colours or [""] * len(rows)
    if console.is_terminal:
        table = Table(*columns, title=title, title_justify="left")
        for row, colour in zip(rows, colours, strict=True):
            table.add_row(row[0], Text(row[1], style=colour), *(Text(cell) for cell in row[2:]))
        console.print(table)
        return
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    print_line(console, title)
    for row in (columns, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print_line(console, "  ".join(cells).rstrip())


def print_line(console: Console, line: str) -> None:
    """One line as it is, never wrapped or coloured."""
    console.print(printable(line), markup=False, highlight=False, soft_wrap=True)
