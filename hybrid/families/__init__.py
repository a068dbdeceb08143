"""Model families, a file each: what differs between checkpoints that the path can run."""

from hybrid.config import ConfigError
from hybrid.families.family import Family
from hybrid.families.llava import Llava
from hybrid.families.llava_next import LlavaNext
from hybrid.families.qwen2_5_vl import Qwen2_5VL
from hybrid.families.qwen3_vl import Qwen3VL

FAMILIES: dict[str, type[Family]] = {
    family.model_type: family for family in (Llava, LlavaNext, Qwen2_5VL, Qwen3VL)
}
"""By `model_type`."""


def family_type(model_type: str) -> type[Family]:
    """The family of a checkpoint whose config.json says `model_type`.

    Raises:
        ConfigError: listing what is supported.
    """
    if model_type not in FAMILIES:
        supported = ", ".join(f"{family.name} ({key})" for key, family in FAMILIES.items())
        raise ConfigError(f"model_type {model_type} is not supported; these are: {supported}")
    return FAMILIES[model_type]


__all__ = ["FAMILIES", "Family", "family_type"]
