"""Pictures of what the judged arm kept of a few images, those that it lost first."""

from collections.abc import Mapping
from pathlib import Path

from bench.arms.profiles import Profile
from bench.base.errors import UserError
from bench.base.reading import Unreadable
from bench.evaluation.runs.identity import read_document
from bench.evaluation.runs.scores import read_scores
from bench.report.evidence import Picture
from bench.tasks import Task

SHOWN = 3


def kept_pictures(run: Path, baseline: Path, task: Task, profile: Profile) -> list[Picture]:
    """Of the first lost samples of `run` against `baseline`, then of the first of all.

    Both are folders of finished runs on `task`, of models of `profile`. Empty for an arm that
    reduces nothing, and for weights that are not here any more: a report is worth having without
    pictures.
    """
    from bench.report.pictures import arm_pictures

    try:
        before, after = _values(baseline), _values(run)
        lost = {index for index, value in after.items() if value < before.get(index, 0.0)}
        ordered = sorted(after, key=lambda index: (index not in lost, index))
        by_index = {sample.index: sample for sample in task.samples}
        chosen = [by_index[index] for index in ordered if index in by_index][:SHOWN]
        drawn = arm_pictures(read_document(run / "run.json"), chosen, profile)
    except UserError:
        return []
    pictures = []
    for sample in chosen:
        image, caption = drawn[sample.index]
        outcome = "lost, " if sample.index in lost else ""
        pictures.append(Picture(image, f"{task.name} {sample.index}: {outcome}{caption}"))
    return pictures


def _values(run: Path) -> Mapping[int, float]:
    try:
        values = read_scores(run / "scores.json")["values"]
        return {int(index): value for index, value in values.items()}
    except (Unreadable, ValueError, KeyError) as error:
        raise UserError(f"{run}: its scores.json can't be read: {error}; score it again") from None
