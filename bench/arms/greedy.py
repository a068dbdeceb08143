"""Greedy means greedy in every arm, whatever a checkpoint says of generation.

transformers' `generate`, the dense arm, takes its settings from `generation_config.json`, or from
generation settings in `config.json`: beams, penalties, suppressed tokens, another cache. The other
arms take the tokens that end and fill up an answer from there, and nothing else. So that is all
that is left of them, for all arms alike, and what was dropped is said.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from transformers import GenerationConfig

from bench.arms.checkpoint.files import read_json
from bench.base.errors import UserError
from bench.base.remark import remark

# Values under which transformers does what it does without the setting; so do None, False, 0, [].
NEUTRAL: dict[str, Any] = {
    "max_length": 20,  # its own default: every arm is given max_new_tokens
    "num_beams": 1,
    "num_beam_groups": 1,
    "num_return_sequences": 1,
    "use_cache": True,
    "temperature": 1.0,
    "top_k": 50,
    "top_p": 1.0,
    "typical_p": 1.0,
    "repetition_penalty": 1.0,
    "encoder_repetition_penalty": 1.0,
    "length_penalty": 1.0,
    "guidance_scale": 1.0,
    "assistant_lookbehind": 10,
    "target_lookbehind": 10,
    "num_assistant_tokens": 20,
    "num_assistant_tokens_schedule": "constant",
    "assistant_confidence_threshold": 0.4,
    "max_matching_ngram_size": 2,
}
FILE = "generation_config.json"
KEPT = ("bos_token_id", "eos_token_id", "pad_token_id")
BOOKKEEPING = ("transformers_version",)  # and what begins with an underscore
SHORT = 60  # characters of a setting that are said


class _Ends(BaseModel):
    """The settings that are kept."""

    model_config = ConfigDict(strict=True)

    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    pad_token_id: int | None = None


def stored_settings(path: str, vocabulary: int) -> dict[str, Any] | None:
    """Of `generation_config.json`; None without one. transformers overlooks a damaged file.

    Raises:
        UserError: naming file and setting, for an end that is no token of `vocabulary`.
    """
    stored = read_json(path, FILE)
    if stored is not None:
        _ends(stored, f"{path}/{FILE}", vocabulary)
    return stored


def answer_greedily(llava: Any, path: str) -> None:
    """Leave of the generation settings of `llava`, loaded from `path`, only the ends.

    Raises:
        UserError: naming file and setting, for an end that is no token of this model.
    """
    vocabulary = llava.config.text_config.vocab_size
    stored = stored_settings(path, vocabulary)
    settings: dict[str, Any] = llava.generation_config.to_dict() | (stored or {})
    file = f"{path}/{'config.json' if stored is None else FILE}"
    ends = _ends(settings, file, vocabulary)
    llava.generation_config = GenerationConfig.from_dict(ends)
    dropped = overridden(settings)
    if dropped:
        listed = ", ".join(f"{name} {_short(value)}" for name, value in dropped.items())
        remark(f"every arm answers greedily, so these of {file} are not used: {listed}")


def overridden(settings: dict[str, Any]) -> dict[str, Any]:
    """What would change transformers' greedy answers, or how fast they come."""
    return {
        name: value
        for name, value in settings.items()
        if name not in (*KEPT, *BOOKKEEPING) and not name.startswith("_")
        if not _is_neutral(name, value)
    }


def _is_neutral(name: str, value: Any) -> bool:
    if name == "use_cache":
        return value is None or value is True
    return not value or value == NEUTRAL.get(name)


def _ends(settings: dict[str, Any], file: str, vocabulary: int) -> dict[str, Any]:
    try:
        ends = _Ends(**{name: settings.get(name) for name in KEPT}).model_dump()
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(
            f"{file}: {first['loc'][0]} is {_short(first['input'])!r}: give the id of a token, or"
            " for eos_token_id a list of them"
        ) from error
    for name, ids in ends.items():
        for id in ids if isinstance(ids, list) else [] if ids is None else [ids]:
            if not 0 <= id < vocabulary:
                raise UserError(
                    f"{file}: {name} is {ids}, and this model's tokens are 0 to {vocabulary - 1}:"
                    " give one of them, or remove the setting"
                )
    return ends


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= SHORT else f"{text[:SHORT]}..."
