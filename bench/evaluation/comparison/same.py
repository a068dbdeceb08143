"""Whether two runs answered the same data by the same recipe, so that their difference means
something."""

from collections.abc import Mapping

from bench.base.errors import UserError
from bench.evaluation.comparison.side import Side
from bench.evaluation.statistics.matching import matched_ids
from bench.tasks.tables.table import shown
from bench.tasks.task import NOT_RECORDED


def demand_comparable(before: Side, after: Side) -> list[str]:
    """Remarks on what could not be checked.

    Raises:
        UserError: the runs differ in data, ids or recipe; the message names the difference.
    """
    if before.kind != after.kind:
        raise _differ(before, after, "kind of data", before.kind, after.kind)
    data, other = (side.document.get("data", {}) for side in (before, after))
    for key, meaning in (("hash", "data"), ("prompts", "prompts"), ("images", "images")):
        if key in data and key in other and data[key] != other[key]:
            raise _differ(before, after, meaning, data[key], other[key])
    _demand_equal_rows(before, after)
    remarks = []
    for key in dict.fromkeys([*before.recipe, *after.recipe]):
        one, two = (side.recipe.get(key, NOT_RECORDED) for side in (before, after))
        if NOT_RECORDED in (one, two):
            unknown = [s.name for s, v in ((before, one), (after, two)) if v == NOT_RECORDED]
            remarks.append(f"the {key} of {' and '.join(unknown)} is not recorded, so not compared")
        elif one != two:
            raise _differ(before, after, key, one, two)
    return remarks


def unit(side: Side) -> str:
    """What one id of `values` stands for."""
    return "image" if side.kind == "coco" else "question"


def _demand_equal_rows(before: Side, after: Side) -> None:
    if before.kind == "coco":
        matched_ids(after.truth, before.truth, unit="image")
        for index, captions in before.truth.items():
            if captions != after.truth[index]:
                raise _differ(
                    before, after, f"captions of image {index}", captions, after.truth[index]
                )
        return
    matched_ids(after.row_hits, before.row_hits, unit="row")
    for index, item in before.questions.items() if after.questions else ():
        other = after.questions[index]
        if item.question.strip() != other.question.strip():
            raise _differ(before, after, f"question {index}", item.question, other.question)
        if item.answer != other.answer:
            raise _differ(before, after, f"answer of row {index}", item.answer, other.answer)
        # Spreadsheets in circulation lost options that read "None", so only shared ones count.
        for letter in item.options.keys() & other.options.keys():
            if item.options[letter].strip() != other.options[letter].strip():
                one, two = item.options[letter], other.options[letter]
                raise _differ(before, after, f"option {letter} of row {index}", one, two)
    if before.answers_sha256 != after.answers_sha256:
        raise _differ(before, after, "right answers", before.answers_sha256, after.answers_sha256)


def demand_same_model(before: Side, after: Side) -> None:
    """Raises UserError unless both runs are of one checkpoint in one type, answered as long, and
    are known to be: what a gate demands beyond `demand_comparable`.

    Processors and the checkpoint's other files are compared where both runs recorded theirs: runs
    made before that was recorded don't.
    """
    documents = [
        {**side.document, "weights": side.document.get("data", {}).get("weights")}
        for side in (before, after)
    ]
    for name in ("weights", "dtype", "max_new_tokens"):
        one, two = (document.get(name) for document in documents)
        if one != two or one is None:
            raise _differ(before, after, name, one or NOT_RECORDED, two or NOT_RECORDED)
    one, two = (side.document.get("checkpoint") for side in (before, after))
    if isinstance(one, Mapping) and isinstance(two, Mapping) and one != two:
        name = min(name for name in {*one, *two} if one.get(name) != two.get(name))
        raise _differ(before, after, name, one.get(name), two.get(name))
    processors = [side.document.get("data", {}).get("processor") for side in (before, after)]
    if None not in processors and processors[0] != processors[1]:
        raise _differ(before, after, "processor", *processors)


def _differ(before: Side, after: Side, what: str, one: object, two: object) -> UserError:
    return UserError(
        f"{before.source} and {after.source} can't be compared, they differ in {what}:"
        f" {shown(one, 120)} and {shown(two, 120)}; evaluate both alike"
    )
