"""Two runs are compared sample by sample, so they must hold the same samples."""

from collections.abc import Mapping

from bench.base.errors import UserError

SHOWN = 3  # of the ids that differ: enough to find them by


def matched_ids(
    run: Mapping[int, object], reference: Mapping[int, object], *, unit: str
) -> list[int]:
    """The ids that both hold, ascending.

    Raises UserError if either is empty or if one holds an id that the other lacks. `unit` is
    what one id stands for, as the message should say it ("question", "image").
    """
    for name, held in (("run", run), ("reference", reference)):
        if not held:
            raise UserError(f"the {name} holds no {unit}s: evaluate it before gating on it")
    for name, missing in (
        ("reference", run.keys() - reference.keys()),
        ("run", reference.keys() - run.keys()),
    ):
        if missing:
            shown = ", ".join(map(str, sorted(missing)[:SHOWN]))
            more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
            raise UserError(
                f"the {name} lacks {unit} {shown}{more}: evaluate both on the same {unit}s"
            )
    return sorted(run)
