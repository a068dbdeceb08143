"""Images of a data file: base64 text in a cell, or a pointer to the row that holds it."""

import base64
import binascii
import io
import warnings
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from PIL import Image, UnidentifiedImageError

from bench.tasks.tables.table import Row, Table, parse_index, shown

# A cell this short can't be an image; VLMEvalKit reads it as another row's index.
LONGEST_POINTER = 64
# What data sets of this kind hold. Pillow knows dozens more, and starts other programs for some.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")
# A photo has a third; of 23 kB of PNG more can be unpacked than fits into memory.
MOST_PIXELS = 50_000_000


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


# The last one only, since decoded they are large: rotations of a question follow each other.
@lru_cache(maxsize=1)
def decode_image(encoded: str) -> Image.Image:
    """Base64 text to an RGB image, transparency dropped as VLMEvalKit drops it.

    Raises:
        ImageError: not base64, none of `FORMATS`, cut off, of too many pixels, or of values
            whose range nobody states.
    """
    try:
        data = base64.b64decode("".join(encoded.split()), validate=True)
    except (binascii.Error, ValueError) as err:
        raise ImageError(f"image is not valid base64 ({err})") from err
    return read_image(data)


def read_image(data: bytes) -> Image.Image:
    """An image file's content as RGB; raises `ImageError` as `decode_image` does."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of many pixels: the line below judges that
            image = Image.open(io.BytesIO(data), formats=FORMATS)
        with image:
            width, height = image.size
            if width * height > MOST_PIXELS:
                raise ImageError(
                    f"image has {width} x {height} pixels, more than the {MOST_PIXELS:,} that are"
                    " read; make it smaller"
                )
            return _to_rgb(image)
    except ImageError:
        raise
    except Image.DecompressionBombError as err:
        raise ImageError(f"image has more than {MOST_PIXELS:,} pixels; make it smaller") from err
    except Exception as err:  # Pillow's decoders raise a dozen types on damaged data
        unknown = f"none of the formats {', '.join(FORMATS)}"
        reason = unknown if isinstance(err, UnidentifiedImageError) else err
        raise ImageError(f"image can't be decoded ({' '.join(str(reason).split())})") from err


def _to_rgb(image: Image.Image) -> Image.Image:
    """8 bits a channel; of more, Pillow itself cuts off what lies above 255."""
    if image.mode == "F" or (image.mode == "I" and image.format != "PNG"):
        raise ImageError(f"image has values of no stated range ({image.format} mode {image.mode})")
    if image.mode.startswith("I"):  # a PNG of 16 bits; the upper 8, as Pillow takes of colours
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    image.info.pop("transparency", None)  # else Pillow warns that it drops it
    return image.convert("RGB")
