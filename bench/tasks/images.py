"""Images of a data file: base64 text in a cell, or a pointer to the row that holds it."""

import base64
import binascii
import io
from collections.abc import Callable
from functools import lru_cache

from PIL import Image, UnidentifiedImageError

from bench.tasks.table import Row, Table, parse_index, shown

# A cell this short can't be an image; VLMEvalKit reads it as another row's index.
LONGEST_POINTER = 64
# Circular copies of a question share an image, and a batch holds a few questions.
IMAGES_KEPT_DECODED = 64


def resolve_pointers(table: Table) -> Table:
    """`table` with each image pointer replaced by the (shared) text of the image it points to.

    Raises:
        UserError: a row has no image or several, or its pointer leads nowhere or in a circle.
    """
    rows: dict[int, Row] = {}
    for index, row in table.rows.items():
        holder, seen = index, [index]
        cell = table.cell(index, "image").strip()
        while len(cell) <= LONGEST_POINTER:
            target = parse_index(cell)
            if target is None or target not in table.rows:
                raise table.error(
                    f"image cell {shown(cell)} is neither base64 nor the index of a row", holder
                )
            if target in seen:
                circle = " -> ".join(map(str, [*seen, target]))
                raise table.error(f"image pointers run in a circle: {circle}", index)
            seen.append(target)
            holder = target
            cell = table.cell(holder, "image").strip()
        if cell.startswith("["):
            raise table.error("holds a list of images; one image a row is supported", holder)
        rows[index] = {**row, "image": cell}
    return Table(table.source, table.columns, rows)


def image_loader(table: Table, index: int) -> Callable[[], Image.Image]:
    """A function that decodes row `index`'s image; raises `UserError` naming file and row.

    The image is RGB and may be shared with other rows: don't draw on it.
    """
    encoded = table.cell(index, "image")

    def load() -> Image.Image:
        try:
            return decode_image(encoded)
        except ImageError as err:
            raise table.error(f"{err}; repair the cell or remove the question", index) from err

    return load


class ImageError(ValueError):
    """The text of an image cell is not an image."""


@lru_cache(maxsize=IMAGES_KEPT_DECODED)
def decode_image(encoded: str) -> Image.Image:
    """Base64 text to an RGB image, transparency dropped as VLMEvalKit drops it.

    Raises:
        ImageError: not base64, no image format that Pillow knows, or cut off.
    """
    try:
        data = base64.b64decode("".join(encoded.split()), validate=True)
    except (binascii.Error, ValueError) as err:
        raise ImageError(f"image is not valid base64 ({err})") from err
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.convert("RGB")
    except Exception as err:  # Pillow's decoders raise a dozen types on damaged data
        reason = "unknown format" if isinstance(err, UnidentifiedImageError) else err
        raise ImageError(f"image can't be decoded ({' '.join(str(reason).split())})") from err
