"""From a data set's name or path to a `Task`."""

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from bench.base.errors import UserError
from bench.base.home import home
from bench.tasks.captions.coco import CocoCaptions
from bench.tasks.captions.tokenise import DEFAULT_TOKENISER
from bench.tasks.matchers import DEFAULT_MATCHER
from bench.tasks.mmbench import MMBench
from bench.tasks.prompts import DEFAULT_CHAT, DEFAULT_PROMPT
from bench.tasks.sources.hub import PREFIX, read_hub
from bench.tasks.tables.table import ALL_OPTIONS, Table, shown
from bench.tasks.tables.tsv import read_tsv
from bench.tasks.task import Kind, Task

OPENCOMPASS = "https://opencompass.openxlab.space/utils"
FIXTURE = Path(__file__).resolve().parents[1] / "fixture"
FIXTURE_DATA = FIXTURE / "data"


@dataclass(frozen=True)
class KnownData:
    """A data set that has a name: where its file is to be had, and the md5 it must have.

    Both are None for the project's own, which git keeps in `folder`.
    """

    kind: Kind
    md5: str | None = None
    url: str | None = None
    folder: Path = FIXTURE_DATA


KNOWN = {
    "tiny-mmbench": KnownData("mmbench"),
    "tiny-coco": KnownData("coco"),
    "tiny-qwen-mmbench": KnownData("mmbench", folder=FIXTURE / "qwen" / "data"),
    "tiny-qwen-coco": KnownData("coco", folder=FIXTURE / "qwen" / "data"),
    "MMBench_DEV_EN": KnownData(
        "mmbench",
        "b6caf1133a01c6bb705cf753bb527ed8",
        f"{OPENCOMPASS}/benchmarks/MMBench/MMBench_DEV_EN.tsv",
    ),
    "COCO_VAL": KnownData(
        "coco",
        "72a5079dead060269ac222c5aa5128af",
        f"{OPENCOMPASS}/VLMEval/COCO_VAL.tsv",
    ),
}


def load_task(
    data: str | Path,
    *,
    prompt: str | None = DEFAULT_PROMPT,
    matcher: str = DEFAULT_MATCHER,
    tokeniser: str = DEFAULT_TOKENISER,
    with_spice: bool = False,
    limit: int | None = None,
    subset: Collection[int] | None = None,
    chat: str = DEFAULT_CHAT,
) -> Task:
    """The task for a known name, the path of a TSV in VLMEvalKit's columns, or an `hf:` source.

    Args:
        prompt: None for scoring only: predictions exist, and nobody noted the prompt.
        tokeniser: what captions are split with before they are scored, raw or ptb.
        with_spice: score captions by SPICE, too.
        limit: only the first so many questions (with all their rotations) or images.
        subset: only these questions or images, named by `Task.group_key`.
        chat: of the model that is asked, a name in `bench.tasks.prompts.CHATS`.

    Raises:
        UserError: no such data, or something in it is wrong.
    """
    if str(data).startswith(PREFIX):
        name, table = read_hub(str(data))
        kind = kind_of(table)
    else:
        name, path, known = _locate(data)
        table = read_tsv(path, md5=known.md5 if known else None)
        kind = known.kind if known else kind_of(table)

    def build(rows: Table) -> Task:
        if kind == "mmbench":
            return MMBench(name, rows, prompt=prompt, matcher=matcher, chat=chat)
        return CocoCaptions(
            name, rows, prompt=prompt, tokeniser=tokeniser, with_spice=with_spice, chat=chat
        )

    task = build(table)
    if limit is not None or subset is not None:
        groups = _choose(table, list(dict.fromkeys(map(task.group_key, table.rows))), limit, subset)
        task = build(table.select([i for i in table.rows if task.group_key(i) in groups]))
    if prompt is not None:
        _ = task.samples  # a missing image column is an error now, not once a model is loaded
    return task


def kind_of(table: Table) -> Kind:
    """What the columns say; raises `UserError` if they fit neither kind."""
    if "A" in table.columns or "B" in table.columns:
        return "mmbench"
    if one := [column for column in table.columns if column.lower() in ALL_OPTIONS]:
        raise table.error(
            f"has all options in one column {one[0]}; give each option a column of its own: A, B,"
            " C, .. as VLMEvalKit's files do, and the right one's letter as answer"
        )
    if "answer" in table.columns:
        return "coco"
    raise table.error(
        "neither MMBench (index, question, A, B, answer, image) nor COCO captions (index, answer,"
        f" image); {table.columns_shown()}"
    )


def _locate(data: str | Path) -> tuple[str, Path, KnownData | None]:
    known = KNOWN.get(str(data))
    if known is None:
        path = Path(data)
        if path.suffix != ".tsv":
            raise UserError(
                f"no data set {shown(str(data), 200)}; give the path of a .tsv file,"
                f" hf:OWNER/NAME:SPLIT, or one of {', '.join(KNOWN)}"
            )
        return path.stem, path, None
    name = str(data)
    folder = known.folder if known.md5 is None else lmu_data()
    path = folder / f"{name}.tsv"
    if not path.is_file():
        raise UserError(
            f"{name}: python -m bench fetch {name} gets it; or put VLMEvalKit's {name}.tsv"
            f" (md5 {known.md5}) at {path}, or set LMUData to the folder that holds it"
            if known.md5
            else f"{name}: {path} is missing; the installation is incomplete"
        )
    return name, path, known


def lmu_data() -> Path:
    """VLMEvalKit's data folder: `$LMUData`, or `~/LMUData` if that is not set.

    Raises:
        UserError: `$LMUData` is no folder, this user has no home folder, or must not look there.
    """
    named = os.environ.get("LMUData")  # noqa: SIM112  VLMEvalKit's spelling
    folder = Path(named) if named else home("LMUData") / "LMUData"
    try:
        (folder / "any").exists()
        if named and not folder.is_dir():
            raise UserError(f"LMUData is {named!r}, which is no folder: make it, or unset LMUData")
    except PermissionError:  # such as the HOME of another user, which a container took over
        raise UserError(
            f"{folder} can't be read (Permission denied): set LMUData to a folder that can"
        ) from None
    return folder


def _choose(
    table: Table, groups: list[int], limit: int | None, subset: Collection[int] | None
) -> set[int]:
    if subset is not None:
        wanted = set(subset)
        unknown = sorted(wanted - set(groups))
        if unknown:
            raise table.error(
                f"the subset names {len(unknown)} questions that the data doesn't have, the first"
                f" is {unknown[0]}"
            )
        groups = [group for group in groups if group in wanted]
    if limit is not None and limit < 1:
        raise UserError(f"limit {limit} leaves no questions; give a whole number from 1")
    groups = groups[:limit]
    if not groups:
        raise table.error("the subset is empty")
    return set(groups)
