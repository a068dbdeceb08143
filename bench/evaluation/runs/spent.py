"""What a run spends, as it recorded it; read without torch, which takes seconds to import."""

from pathlib import Path

from bench.base.errors import UserError
from bench.base.reading import Unreadable, read_object
from bench.cost.spending import Budget, budget_in


def recorded_budget(folder: Path) -> Budget | None:
    """Of the run in a folder; None if none is recorded there.

    Raises:
        UserError: its run.json is damaged.
    """
    path = folder / "run.json"
    try:
        return budget_in(read_object(path))
    except Unreadable as error:
        if error.missing:
            return None
        reason = f"it {error.reason}"
    except ValueError as error:
        reason = str(error)
    raise UserError(f"{path} is damaged ({reason}): run again without --reuse")
