"""VLMEvalKit's sheet of a run. What a sheet can't hold does not cost the run its score."""

from collections.abc import Collection, Mapping
from pathlib import Path

from bench.base.remark import remark
from bench.tasks.tables.table import Table, shown
from bench.tasks.tables.xlsx import unfit, write_xlsx


def export(
    path: Path, table: Table, predictions: Mapping[int, str], *, asked: Collection[str]
) -> bool:
    """Write `table` and `predictions`, as far as they fit; returns whether anything was written.

    A column with a cell that is too long is left out unless it is `asked`, and one line says so;
    without an asked one or a prediction the sheet would be another run's, so there is none, not
    even an earlier one, and one line says so.
    """
    reasons = unfit(table, predictions)
    for column, reason in reasons.items():
        if column is None or column in asked or column == "prediction":
            path.unlink(missing_ok=True)
            remark(f"{path} is not written: {reason}; the run's other files hold everything")
            return False
    for column, reason in reasons.items():
        remark(f"{path} is written without the column {shown(column)}: {reason}")
    write_xlsx(path, table.without(*filter(None, reasons)), predictions)
    return True
