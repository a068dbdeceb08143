"""A comparison as one HTML file: the tables, and every sample whose answer flipped."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.arms.profiles import Profile
from bench.base.atomic import write_atomically
from bench.base.errors import UserError
from bench.base.verdict import Verdict
from bench.cost import spending
from bench.evaluation.comparison.compare import BUDGET_COLUMNS, COLUMNS, Comparison, row_cells
from bench.evaluation.comparison.side import Side
from bench.evaluation.statistics.breakdown import CATEGORY_COLUMNS, category_cells
from bench.report.gallery import Gallery
from bench.report.html import render
from bench.tasks import Sample, Task, load_task
from bench.tasks.mmbench import ROTATION, Question
from bench.tasks.prompts import DEFAULT_CHAT, DEFAULT_PROMPT, recorded_prompt

MOST_CAPTIONS = 25  # lost and gained each: nearly every caption changes a little


@dataclass(frozen=True)
class Reply:
    """What one arm said to one row. text: as read, or as it stands if nothing was read."""

    text: str
    right: bool


@dataclass(frozen=True)
class Turn:
    """One rotation of a question: number, the right letter and both arms' replies."""

    number: int
    answer: str
    before: Reply
    after: Reply


@dataclass(frozen=True, kw_only=True)
class Card:
    """One flipped sample as the template shows it. pictures: (title, image name, caption)."""

    id: int
    outcome: str
    near_tie: bool = False
    category: str = ""
    question: str = ""
    hint: str = ""
    options: Sequence[tuple[str, str, bool]] = ()
    turns: Sequence[Turn] = ()
    captions: Sequence[tuple[str, str, str]] = ()
    truth: Sequence[str] = ()
    image: str = ""
    pictures: Sequence[tuple[str, str, str]] = ()


def write_page(
    found: Comparison,
    path: Path,
    *,
    data: str | None = None,
    pictures: bool = True,
    verdict: Verdict | None = None,
    profile: Profile | None = None,
) -> list[str]:
    """Writes the page to `path`; returns what could not be shown on it, and why.

    Args:
        data: name or path of the data with the images; None means what run.json says.
        pictures: also run the vision tower again, to show what each arm kept.
        profile: the user's own, whose models are shown and whose data are taken if the runs
            answered those.
        verdict: on the difference, if it was judged.

    Raises:
        UserError: the file can't be written, or `data` is not what the runs answered.
    """
    missing: list[str] = []
    gallery = Gallery()
    ids = [*found.lost, *found.gained]
    if found.before.kind == "coco":
        ids = [*found.lost[:MOST_CAPTIONS], *found.gained[:MOST_CAPTIONS]]
    samples = _samples(found, ids, data or _own_data(found, profile), missing)
    images = {id: gallery.add(sample.image()) for id, sample in samples.items()}
    kept: dict[int, list[tuple[str, str, str]]] = {id: [] for id in ids}
    if pictures and samples:
        for title, side in (("before", found.before), ("after", found.after)):
            for id, picture in _pictures(title, side, samples, gallery, missing, profile).items():
                kept[id].append(picture)
    cards = [_card(found, id, images.get(id, ""), kept[id]) for id in ids]
    page = render(
        "bench.report.comparison",
        "page.html.j2",
        found=found,
        verdict=verdict,
        columns=COLUMNS,
        rows=[row_cells(row) for row in found.rows],
        budget_title=spending.TITLE,
        budget_columns=BUDGET_COLUMNS,
        category_columns=CATEGORY_COLUMNS,
        categories=[category_cells(row) for row in found.categories],
        said=found.said(),
        notes=[*found.remarks, *missing],
        cards=cards,
        hidden=len(found.lost) + len(found.gained) - len(ids),
        gallery=gallery.images,
    )
    write_atomically(path, page.encode())
    return missing


def _samples(
    found: Comparison, ids: Sequence[int], data: str | None, missing: list[str]
) -> dict[int, Sample]:
    """The sample that stands for each flipped question; empty if there is no data here."""
    if not ids:
        return {}
    try:
        task = _task(found, data)
    except UserError as error:
        if data is not None:
            raise
        missing.append(
            f"images are not shown: {error}; name them with --data, or"
            " your own profile with --profile"
        )
        return {}
    by_index = {sample.index: sample for sample in task.samples}
    return {id: by_index[_first_difference(found, id)] for id in ids}


def _own_data(found: Comparison, profile: Profile | None) -> str | None:
    """The profile's data, if it names what the runs answered."""
    if profile is None:
        return None
    source = profile.data.mmbench if found.before.kind == "mmbench" else profile.data.coco
    return source if source and Path(source).stem == found.after.data else None


def _task(found: Comparison, data: str | None) -> Task:
    """The data of the runs, with images.

    Raises:
        UserError: it is not here, or not what the runs answered.
    """
    recorded = [s.document["data"] for s in (found.before, found.after) if "data" in s.document]
    name = data or (recorded[0].get("name") if recorded else found.after.data)
    said = [recorded_prompt(s.recipe.get("prompt", "")) for s in (found.before, found.after)]
    prompt, chat = next(filter(None, said), (DEFAULT_PROMPT, DEFAULT_CHAT))
    task = load_task(str(name), prompt=prompt, subset=list(found.before.values), chat=chat)
    rows = found.before.row_hits or found.before.values
    if task.indices != rows.keys() or any(
        document.get("hash", task.data_hash) != task.data_hash
        or document.get("prompts", task.prompt_hash) != task.prompt_hash
        for document in recorded
    ):
        raise UserError(f"{name} here is not the data that the runs answered")
    return task


def _first_difference(found: Comparison, id: int) -> int:
    """The row of a question in which the runs first differ; of an image, itself."""
    if found.before.kind == "coco":
        return id
    rows = sorted(index for index in found.before.row_hits if index % ROTATION == id)
    one, two = found.before.row_hits, found.after.row_hits
    return next(index for index in rows if one[index] != two[index])


def _pictures(
    title: str,
    side: Side,
    samples: Mapping[int, Sample],
    gallery: Gallery,
    missing: list[str],
    profile: Profile | None,
) -> dict[int, tuple[str, str, str]]:
    from bench.report.pictures import arm_pictures

    if not side.document:
        missing.append(f"no picture of what {side.name} kept: there is no run.json that says how")
        return {}
    try:
        drawn = arm_pictures(side.document, list(samples.values()), profile)
    except UserError as error:
        missing.append(f"no picture of what {side.name} kept: {error}")
        return {}
    pictures = {}
    for id, sample in samples.items():
        image, caption = drawn[sample.index]
        asked = f", row {sample.index}" if _rotation(sample.index) else ""
        pictures[id] = (f"{title}: {side.name}", gallery.add(image), f"{caption}{asked}")
    return pictures


def _rotation(index: int) -> int:
    """0 for a question as it stands, k for its k-th rotation."""
    return index // ROTATION


def _card(found: Comparison, id: int, image: str, pictures: Sequence[tuple[str, str, str]]) -> Card:
    before, after = found.before, found.after
    outcome = "lost" if after.values[id] < before.values[id] else "gained"
    if before.kind == "coco":
        return Card(
            id=id,
            outcome=outcome,
            captions=[
                (title, side.answers[id], f"{side.values[id]:.3f}")
                for title, side in (("before", before), ("after", after))
            ],
            truth=(before.truth or after.truth)[id],
            image=image,
            pictures=pictures,
        )
    questions = before.questions or after.questions
    names = [table[id] for table in (before.categories or after.categories).values()]
    rows = sorted(index for index in before.row_hits if index % ROTATION == id)
    item = questions.get(id)
    return Card(
        id=id,
        outcome=outcome,
        near_tie=found.near_ties.get(id) is True,
        category=" / ".join(names),
        question=item.question if item else "",
        hint=(item.hint or "") if item else "",
        options=[(k, text, k == item.answer) for k, text in item.options.items()] if item else (),
        turns=[
            Turn(
                _rotation(row) + 1,
                _option(questions.get(row), questions[row].answer) if row in questions else "",
                _reply(before, row, questions.get(row)),
                _reply(after, row, questions.get(row)),
            )
            for row in rows
        ],
        image=image,
        pictures=pictures,
    )


def _reply(side: Side, row: int, item: Question | None) -> Reply:
    letter = side.letters[row]
    if letter is None:
        text = f"unreadable: {side.answers[row]}" if row in side.answers else "unreadable"
    else:
        text = _option(item, letter)
    return Reply(text, side.row_hits[row])


def _option(item: Question | None, letter: str) -> str:
    if item is None or letter not in item.options:
        return letter
    return f"{letter}. {item.options[letter]}"
