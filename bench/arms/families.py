"""Which family a checkpoint is of, as this suite needs to know it.

`latency --against` times an earlier revision's `hybrid` with this harness, and one from before
there were families runs LLaVA-1.5 alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from transformers import LlavaForConditionalGeneration

from bench.base.errors import UserError

try:
    from hybrid.families import FAMILIES as FOUND
except ModuleNotFoundError:
    FOUND = {}

LLAVA = "llava"  # the one family whose images all have one size


@dataclass(frozen=True)
class Kind:
    """A family.

    Attributes:
        model_type: what its config.json says.
        name: as people call it.
        model_class: transformers' own.
        images: what its processor says of images and prompts beside the pixels.
    """

    model_type: str
    name: str
    model_class: Any
    images: tuple[str, ...] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """What a model is handed of what its processor gives."""
        return ("input_ids", "attention_mask", "pixel_values", *self.images)


KINDS: Mapping[str, Kind] = {
    LLAVA: Kind(LLAVA, "LLaVA-1.5", LlavaForConditionalGeneration),
    **{
        name: Kind(name, family.name, family.model_class, (*family.takes, *family.ignores))
        for name, family in FOUND.items()
    },
}
"""By `model_type`."""


def kind_of(config: Any) -> Kind:
    """The family of a model that transformers' `config` describes."""
    return KINDS[config.model_type]


def demand_kind(model_type: object, path: str) -> Kind:
    """Raises UserError for a checkpoint of no family that is run, with a list of those."""
    if not isinstance(model_type, str) or model_type not in KINDS:
        known = ", ".join(f"{kind.name} ({name})" for name, kind in KINDS.items())
        said = " ".join(str(model_type).split())[:60]
        raise UserError(f"{path} is a {said} checkpoint; what runs, by model_type, is: {known}")
    return KINDS[model_type]
