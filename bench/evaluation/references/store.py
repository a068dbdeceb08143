"""Find and read reference runs, of either kind."""

from pathlib import Path

from pydantic import TypeAdapter
from rich.console import Console

from bench.base.errors import UserError
from bench.base.shapes import checked
from bench.base.tables import print_table
from bench.cost.spending import COLUMNS, cells_of
from bench.evaluation.references.captions import CaptionRecipe, CaptionReference, captions_of
from bench.evaluation.references.files import no_recipe, no_rows, read_files, reference_names
from bench.evaluation.references.letters import LetterRecipe, LetterReference, letters_of

Reference = LetterReference | CaptionReference
LISTED = ("name", "data", "metric", "score", "of", *COLUMNS, "prompt", "read by")


def read_reference(name: str, folder: Path | None = None) -> Reference:
    """The reference `name`, shipped or in the user's folder.

    Raises:
        UserError: there is none, or its files are damaged.
    """
    document, rows = read_files(name, folder)
    kinds: TypeAdapter[CaptionRecipe | LetterRecipe] = TypeAdapter(
        CaptionRecipe if document.get("kind") == "coco" else LetterRecipe
    )
    try:
        recipe = checked(kinds, document)
    except ValueError as error:
        raise no_recipe(f"{name}.json ({error})") from error
    try:
        if isinstance(recipe, CaptionRecipe):
            return captions_of(name, recipe, rows)
        return letters_of(name, recipe, rows)
    except (KeyError, ValueError) as error:
        raise no_rows(name, error) from error


def load_letters(name: str, folder: Path | None = None) -> LetterReference:
    """The reference `name`, which keeps letters.

    Raises:
        UserError: as `read_reference` does, and for captions.
    """
    reference = read_reference(name, folder)
    if isinstance(reference, CaptionReference):
        raise UserError(f"reference {name} keeps captions: name one of multiple choice")
    return reference


def load_reference(name: str, folder: Path | None = None) -> dict[int, bool]:
    """Circular hits by question id of the reference `name`; see `load_letters`."""
    return load_letters(name, folder).hits


def load_captions(name: str, folder: Path | None = None) -> CaptionReference:
    """The reference `name`, which keeps captions.

    Raises:
        UserError: as `read_reference` does, and for multiple choice.
    """
    reference = read_reference(name, folder)
    if isinstance(reference, LetterReference):
        raise UserError(f"reference {name} keeps letters: name one of captions")
    return reference


def print_references(folder: Path | None = None, *, console: Console | None = None) -> None:
    """A line a reference: what it scored, what it spent, and by which recipe."""
    rows = []
    for name in reference_names(folder):
        found = read_reference(name, folder)
        recipe = found.recipe
        read_by = recipe.tokeniser if isinstance(recipe, CaptionRecipe) else recipe.matcher
        score = [*found.listed, *cells_of(recipe.budget)]
        rows.append([name, recipe.data, *score, recipe.prompt, read_by])
    print_table(console or Console(), "references", LISTED, rows)
