"""What is kept of a run of captions: the captions themselves, since CIDEr weighs their words by
the images that are asked, and so is another number on every subset."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ConfigDict, with_config

from bench.base.shapes import Count, Number
from bench.cost.spending import Budget
from bench.evaluation.references.files import Recipe, index_of, to_csv, write_files

COLUMNS = ("index", "truth", "caption")
DIGITS = 8  # of a row's digest: one changed image in four billion goes unseen


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True, kw_only=True)
class CaptionRecipe(Recipe):
    """cider: of all images, of `tokeniser`; for people, gates score the images they ask anew."""

    tokeniser: str
    images: Count
    cider: Number


@dataclass(frozen=True)
class CaptionReference:
    """A run's captions by image, and a digest of the captions that people wrote of it."""

    name: str
    recipe: CaptionRecipe
    captions: Mapping[int, str]
    truth: Mapping[int, str]

    @property
    def listed(self) -> tuple[str, str, str]:
        """Metric, score, and how many images."""
        return "CIDEr", f"{self.recipe.cider:.4f}", f"{self.recipe.images} images"


def truth_digest(captions: Sequence[str]) -> str:
    """Identity of an image's reference captions, without their texts; white space does not count,
    since spreadsheets and TSV files write it differently."""
    words = [caption.split() for caption in captions]
    return hashlib.sha256(json.dumps(words).encode()).hexdigest()[:DIGITS]


def captions_of(
    name: str, recipe: CaptionRecipe, rows: Iterable[dict[str, str]]
) -> CaptionReference:
    """A reference from what its files hold.

    Raises:
        ValueError, KeyError: a row is none of `COLUMNS`.
    """
    captions: dict[int, str] = {}
    truth: dict[int, str] = {}
    for row in rows:
        index = index_of(row)
        captions[index], truth[index] = row["caption"], row["truth"]
    return CaptionReference(name, recipe, captions, truth)


def add_captions(
    name: str,
    folder: Path,
    *,
    captions: Mapping[int, str],
    truth: Mapping[int, Sequence[str]],
    cider: float,
    source: str,
    model: str,
    data: str,
    tokeniser: str,
    prompt: str,
    budget: Budget | None = None,
) -> Path:
    """Write a new reference into `folder`; returns the path of its CSV.

    Args:
        captions: image -> what the model said of it.
        truth: image -> what people said of it.

    Raises:
        UserError: the name is taken or is no file name, or the files can't be written.
    """
    rows = ((image, truth_digest(truth[image]), captions[image]) for image in sorted(truth))
    content = to_csv(COLUMNS, rows)
    recipe = CaptionRecipe(
        kind="coco",
        source=source,
        model=model,
        data=data,
        prompt=prompt,
        tokeniser=tokeniser,
        images=len(truth),
        cider=cider,
        content=hashlib.sha256(content).hexdigest(),
        budget=budget,
    )
    return write_files(name, folder, recipe, content)
