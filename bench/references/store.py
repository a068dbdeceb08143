"""Write, find and read reference runs."""

import csv
import hashlib
import io
import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

from bench.errors import UserError
from bench.report import print_table
from bench.tasks.atomic import write_atomically
from bench.tasks.mmbench import ROTATION

SHIPPED = Path(__file__).parent
COLUMNS = ["index", "letter", "hit"]
LISTED = ("name", "data", "circular accuracy", "right", "matcher", "prompt")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a reference's letters hold for; the JSON beside the CSV.

    answers: `answers_sha256` of the data, which another run must share.
    content: sha256 of the CSV, so that a damaged one is noticed.
    """

    source: str
    model: str
    data: str
    matcher: str
    prompt: str
    rows: int
    rows_right: int
    questions: int
    questions_right: int
    unreadable: int
    answers: str
    content: str


@dataclass(frozen=True)
class Reference:
    """A run's letters and row hits, by row index."""

    name: str
    recipe: Recipe
    letters: Mapping[int, str | None]
    row_hits: Mapping[int, bool]

    @property
    def hits(self) -> dict[int, bool]:
        """For each question, whether it was answered rightly in every rotation."""
        return question_hits(self.row_hits)


def question_hits(row_hits: Mapping[int, bool]) -> dict[int, bool]:
    """Circular hits by question, in the order of the rows."""
    hits: dict[int, bool] = {}
    for index, hit in row_hits.items():
        hits[index % ROTATION] = hit and hits.get(index % ROTATION, True)
    return hits


def answers_sha256(answers: Mapping[int, str]) -> str:
    """Identity of a data set without its texts: the right letter of every row."""
    lines = "".join(f"{index} {answers[index]}\n" for index in sorted(answers))
    return hashlib.sha256(lines.encode()).hexdigest()


def reference_folder(folder: Path | None = None) -> Path:
    """Where the user's references are: `folder`, else $VLM_HYBRID_REFERENCES, else ./references."""
    return folder or Path(os.environ.get("VLM_HYBRID_REFERENCES") or "references")


def reference_names(folder: Path | None = None) -> list[str]:
    """The shipped references, then the user's."""
    return [
        path.stem
        for place in (SHIPPED, reference_folder(folder))
        for path in sorted(place.glob("*.json"))
    ]


def print_references(folder: Path | None = None, *, console: Console | None = None) -> None:
    """A line a reference: what it scored, and by which recipe."""
    rows = []
    for name in reference_names(folder):
        found = read_reference(name, folder).recipe
        right = f"{found.questions_right}/{found.questions}"
        value = f"{found.questions_right / found.questions:.4f}"
        rows.append([name, found.data, value, right, found.matcher, found.prompt])
    print_table(console or Console(), "references", LISTED, rows)


def load_reference(name: str, folder: Path | None = None) -> dict[int, bool]:
    """Circular hits by question id of the reference `name`; see `read_reference`."""
    return read_reference(name, folder).hits


def read_reference(name: str, folder: Path | None = None) -> Reference:
    """The reference `name`, shipped or in the user's folder.

    Raises:
        UserError: there is none, or its files are damaged.
    """
    known = reference_names(folder)
    if name not in known:
        raise UserError(f"no reference {name!r}: there are {', '.join(known)}")
    place = SHIPPED if (SHIPPED / f"{name}.json").is_file() else reference_folder(folder)
    recipe_file, rows_file = place / f"{name}.json", place / f"{name}.csv"
    try:
        recipe = Recipe(**json.loads(recipe_file.read_bytes()))
        content = rows_file.read_bytes()
    except OSError as error:
        raise UserError(f"{error.filename}: can't be read: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise UserError(
            f"{recipe_file} is not a reference's recipe; add the run again with"
            " python -m bench reference add"
        ) from error
    if hashlib.sha256(content).hexdigest() != recipe.content:
        raise UserError(f"{rows_file} is not what {recipe_file.name} was written for; add it again")
    letters: dict[int, str | None] = {}
    hits: dict[int, bool] = {}
    for row in csv.DictReader(io.StringIO(content.decode())):
        index = int(row["index"])
        letters[index], hits[index] = row["letter"] or None, row["hit"] == "1"
    return Reference(name, recipe, letters, hits)


def add_reference(
    name: str,
    folder: Path,
    *,
    letters: Mapping[int, str | None],
    answers: Mapping[int, str],
    source: str,
    model: str,
    data: str,
    matcher: str,
    prompt: str,
) -> Path:
    """Writes a new reference into `folder`; returns the path of its CSV.

    Args:
        letters: row index -> what the matcher read, None where it read nothing.
        answers: row index -> the right letter.

    Raises:
        UserError: the name is taken or is no file name, or the files can't be written.
    """
    if not NAME.fullmatch(name):
        raise UserError(f"{name!r} can't name a reference: use letters, digits, '.', '_' and '-'")
    for place in (SHIPPED, folder):
        if (place / f"{name}.json").exists():
            raise UserError(f"a reference {name} exists in {place}: give another --name")
    row_hits = {index: letters[index] == answers[index] for index in answers}
    hits = question_hits(row_hits)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for index in sorted(answers):
        writer.writerow([index, letters[index] or "", int(row_hits[index])])
    content = out.getvalue().encode()
    recipe = Recipe(
        source=source,
        model=model,
        data=data,
        matcher=matcher,
        prompt=prompt,
        rows=len(row_hits),
        rows_right=sum(row_hits.values()),
        questions=len(hits),
        questions_right=sum(hits.values()),
        unreadable=sum(letters[index] is None for index in answers),
        answers=answers_sha256(answers),
        content=hashlib.sha256(content).hexdigest(),
    )
    path = folder / f"{name}.csv"
    write_atomically(path, content)
    write_atomically(
        folder / f"{name}.json", (json.dumps(asdict(recipe), indent=2) + "\n").encode()
    )
    return path
