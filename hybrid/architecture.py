"""What a checkpoint must look like for the hybrid to run it."""

from typing import Any

from hybrid.config import ConfigError, HybridConfig
from hybrid.families import family_type


def check_architecture(settings: Any, config: HybridConfig) -> None:
    """Refuse a checkpoint of no supported family, and a reduction that does not fit it.

    Args:
        settings: the checkpoint's own configuration, such as a transformers `LlavaConfig`.
        config: what to reduce.

    Raises:
        ConfigError: naming what was found and what is supported.
    """
    family_type(settings.model_type).check(settings)
    last = settings.text_config.num_hidden_layers - 2
    if config.budget.prunes and last < 0:
        raise ConfigError(
            f"keep={config.budget} prunes behind a layer, and this language model has only one: "
            "keep must be none"
        )
    if config.budget.prunes and config.aggregation_layer > last:
        raise ConfigError(
            f"aggregation_layer={config.aggregation_layer} leaves no layer to prune: "
            f"this language model allows 0 to {last}"
        )
