"""Documents whose JSON is sound, held to the types that they should have. Nothing is converted: a
text is no number, and neither is true."""

import json
from typing import Annotated, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

MOST = 1e15  # of any number that is measured; beyond it, sums and ratios are none any more
SHOWN = 80  # characters of a place, and of what is wrong there
Shape = TypeVar("Shape")
Number = Annotated[float, Field(ge=-MOST, le=MOST)]
Seconds = Annotated[float, Field(gt=0, le=1e9)]
Count = Annotated[int, Field(ge=0, le=MOST)]


def checked(shape: TypeAdapter[Shape], document: object) -> Shape:
    """The document as what `shape` describes.

    Args:
        document: what `bench.base.strict_json` read.

    Raises:
        ValueError: one line that names the first place that holds something else.
    """
    try:
        return shape.validate_json(json.dumps(document), strict=True)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, fault["loc"])) or "the document"
    raise ValueError(f"{place[:SHOWN]!r}: {fault['msg'][:SHOWN]!r}") from None
