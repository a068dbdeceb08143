"""What a checkpoint must look like for the hybrid to run it."""

from typing import Any

from hybrid.config import ConfigError, HybridConfig


def check_architecture(llava: Any, config: HybridConfig) -> None:
    """Refuse what is not LLaVA-1.5, and a reduction that does not fit it.

    Args:
        llava: the checkpoint's own configuration, a transformers `LlavaConfig`.
        config: what to reduce.

    Raises:
        ConfigError: naming what was found and what is supported.
    """
    if llava.model_type != "llava":
        raise ConfigError(f"a {llava.model_type} model is not LLaVA-1.5 (model_type llava)")
    vision, text = llava.vision_config.model_type, llava.text_config.model_type
    if (vision, text) != ("clip_vision_model", "llama"):
        raise ConfigError(
            f"this LLaVA has a {vision} tower and a {text} language model; "
            "only CLIP and Llama (LLaVA-1.5) are supported"
        )
    strategy, layer = llava.vision_feature_select_strategy, llava.vision_feature_layer
    if strategy != "default" or not isinstance(layer, int):
        raise ConfigError(
            f"vision_feature_select_strategy={strategy!r} with vision_feature_layer={layer} is not "
            "LLaVA-1.5's: 'default', which drops CLS, with a single layer"
        )
    last = llava.text_config.num_hidden_layers - 2
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
