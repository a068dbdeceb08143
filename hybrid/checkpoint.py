"""A model's weights: all of them, or an error."""

from os import PathLike
from typing import Any, Literal

import torch
from transformers import AutoConfig, PreTrainedConfig

from hybrid.config import ConfigError
from hybrid.families import family_type


def load_model(
    path: str | PathLike[str],
    dtype: torch.dtype | Literal["auto"],
    config: PreTrainedConfig | None = None,
) -> Any:
    """Load a checkpoint, by folder or Hugging Face id, for inference on the CPU.

    transformers fills weights that a checkpoint lacks with random ones, and goes on with a warning.
    A model like that answers, as fast as the real one; here it is an error.

    Args:
        dtype: of the loaded weights; `auto` is as they are stored.
        config: in place of the checkpoint's own.

    Raises:
        ConfigError: in one line, for what is not there, damaged or pickled, of no supported family,
            lacks a weight, or holds one that its configuration has no place for.
    """
    own: dict[str, Any] = {} if config is None else {"config": config}
    try:
        settings = config or AutoConfig.from_pretrained(path)
    except Exception as error:  # each library has its own, for what is damaged or not there
        raise _unreadable(path, error) from error
    family = family_type(settings.model_type)
    try:
        loaded: Any = family.model_class.from_pretrained(
            path, dtype=dtype, output_loading_info=True, use_safetensors=True, **own
        )
    except Exception as error:  # each library has its own, for what is damaged or not there
        raise _unreadable(path, error) from error
    model, report = loaded
    lacking = sorted(report["missing_keys"])
    if lacking:
        more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
        raise ConfigError(
            f"cannot load the checkpoint {path}: it lacks the weight {lacking[0]}{more}"
        )
    # With a `config` of the caller's, what it leaves out of the checkpoint is meant.
    surplus = sorted(report["unexpected_keys"]) if config is None else []
    if surplus:
        more = f" and {len(surplus) - 1} more" if len(surplus) > 1 else ""
        raise ConfigError(
            f"cannot load the checkpoint {path}: its config.json has no place for the weight"
            f" {surplus[0]}{more}"
        )
    return model.eval()


def _unreadable(path: str | PathLike[str], error: Exception) -> ConfigError:
    reason = str(error).strip().partition("\n")[0]
    return ConfigError(f"cannot load the checkpoint {path}: {reason}")
