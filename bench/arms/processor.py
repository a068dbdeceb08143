"""A checkpoint's processor must count image placeholders as the checkpoint's model does.

Old checkpoints leave out what counts them: it then follows from `config.json`, and is said. One
that contradicts it would fail later, by the length of a prompt that nobody wrote.
"""

from typing import Any

from bench.base.errors import UserError
from bench.base.remark import remark

CLASS_TOKEN = 1  # of CLIP's tower; the processor adds it, and `default` takes it away again


def fit_processor(processor: Any, config: Any, path: str) -> None:
    """Fill in what the processor leaves out, and refuse what contradicts the model.

    Args:
        processor: a `LlavaProcessor`; changed.
        config: the model's `LlavaConfig`.
        path: the checkpoint.

    Raises:
        UserError: naming file, setting, and both values.
    """
    file = f"{path}/processor_config.json"
    wanted = {
        "patch_size": config.vision_config.patch_size,
        "vision_feature_select_strategy": config.vision_feature_select_strategy,
        "num_additional_image_tokens": CLASS_TOKEN,
    }
    filled = []
    for name, value in wanted.items():
        # transformers takes 0 additional tokens where nothing is said, and counts one too few.
        if getattr(processor, name) in (None, 0):
            setattr(processor, name, value)
            filled.append(f"{name} {value}")
        elif getattr(processor, name) != value:
            raise UserError(
                f"{file}: {name} is {getattr(processor, name)!r}, and by the model's config.json it"
                f" must be {value!r}: correct whichever is wrong"
            )
    if filled:
        remark(f"{file} does not say {', '.join(filled)}: taken from the model's config.json")
    if processor.image_token_id != config.image_token_id:
        raise UserError(
            f"{path}: the tokenizer's image token {processor.image_token!r} has the id"
            f" {processor.image_token_id}, and config.json's image_token_index is"
            f" {config.image_token_id}: correct whichever is wrong"
        )
    vocabulary = config.text_config.vocab_size
    largest = max(processor.tokenizer.get_vocab().values())
    if largest >= vocabulary:
        raise UserError(
            f"{path}: the tokenizer has a token {largest}, and config.json's text_config.vocab_size"
            f" is {vocabulary}: take the tokenizer that belongs to these weights"
        )
