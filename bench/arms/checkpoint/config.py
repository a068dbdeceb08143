"""A checkpoint's `config.json`, checked before a model is made of it.

What transformers makes of a wrong one is a traceback deep in a layer, or a model that answers
nothing. Settings that are not here are transformers' to check.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from transformers import PreTrainedConfig
from transformers.activations import ACT2FN

from bench.arms.checkpoint.files import find_file, read_json
from bench.arms.families import demand_kind
from bench.base.errors import UserError
from bench.base.remark import remark

SHORT = 60  # characters of a wrong value that are said
# What would make transformers' own model slower, or give something else than logits.
FLAGS = {"output_attentions": False, "output_hidden_states": False, "return_dict": True}


def _activation(name: str) -> str:
    if name not in ACT2FN:
        raise ValueError(f"transformers has no activation function {name!r}")
    return name


def _dtype(name: str) -> str:
    found = getattr(torch, name.removeprefix("torch."), None)
    if not (isinstance(found, torch.dtype) and found.is_floating_point):
        raise ValueError("give float16, bfloat16 or float32")
    return name


Size = Annotated[int, Field(ge=1, le=1 << 20)]
Depth = Annotated[int, Field(ge=1, le=1000)]
Epsilon = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Activation = Annotated[str, AfterValidator(_activation)]
Dtype = Annotated[str, AfterValidator(_dtype)]


class _Settings(BaseModel):
    """Every setting may be left out: transformers has a default for each."""

    model_config = ConfigDict(strict=True, from_attributes=True, extra="ignore")


class _Rope(_Settings):
    rope_theta: Epsilon | None = None


class _Tower(_Settings):
    hidden_size: Size | None = None
    num_attention_heads: Size | None = None
    num_hidden_layers: Depth | None = None
    intermediate_size: Size | None = None
    hidden_act: Activation | None = None
    attention_dropout: float | None = None
    head_dim: Size | None = None

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        width, heads = self.hidden_size, self.num_attention_heads
        if width and heads and self.head_dim is None and width % heads:
            raise ValueError(f"hidden_size {width} does not divide into {heads} attention heads")
        return self


class _Vision(_Tower):
    image_size: Size | None = None
    patch_size: Size | None = None
    num_channels: Literal[3] | None = None
    layer_norm_eps: Epsilon | None = None

    @model_validator(mode="after")
    def _patches_fit(self) -> Self:
        if self.image_size and self.patch_size and self.image_size < self.patch_size:
            raise ValueError(
                f"image_size {self.image_size} is less than a patch, {self.patch_size}"
            )
        return self


class _Text(_Tower):
    vocab_size: Size | None = None
    num_key_value_heads: Size | None = None
    rms_norm_eps: Epsilon | None = None
    max_position_embeddings: Annotated[int, Field(ge=1)] | None = None
    attention_bias: bool | None = None
    mlp_bias: bool | None = None
    rope_theta: Epsilon | None = None
    rope_parameters: _Rope | None = None

    @model_validator(mode="after")
    def _keys_divide(self) -> Self:
        heads, keys = self.num_attention_heads, self.num_key_value_heads
        if heads and keys and heads % keys:
            raise ValueError(
                f"num_attention_heads {heads} do not divide into num_key_value_heads {keys}"
            )
        size = self.head_dim
        if size is None and self.hidden_size and heads:
            size = self.hidden_size // heads
        if size is not None and size % 2:
            raise ValueError(f"heads of {size} are odd, and rotary positions turn pairs")
        return self


class _Llava(_Settings):
    vision_config: _Vision | None = None
    text_config: _Text | None = None
    image_token_index: Annotated[int, Field(ge=0)] | None = None
    vision_feature_layer: int | list[int] | None = None
    vision_feature_select_strategy: Literal["default", "full"] | None = None
    projector_hidden_act: Activation | None = None
    multimodal_projector_bias: bool | None = None
    tie_word_embeddings: bool | None = None

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        vocabulary = self.text_config and self.text_config.vocab_size
        token = self.image_token_index
        if vocabulary and token is not None and token >= vocabulary:
            raise ValueError(
                f"image_token_index {token} is not in a vocabulary of {vocabulary}"
                " (text_config.vocab_size)"
            )
        depth = self.vision_config and self.vision_config.num_hidden_layers
        chosen = self.vision_feature_layer
        for layer in chosen if isinstance(chosen, list) else [] if chosen is None else [chosen]:
            if depth and not -depth - 1 <= layer <= depth:
                raise ValueError(
                    f"vision_feature_layer {layer} is not one of a tower of {depth} layers:"
                    f" {-depth - 1} to {depth}"
                )
        return self


class _LlavaNext(_Llava):
    image_grid_pinpoints: list[Annotated[list[Size], Field(min_length=2, max_length=2)]] | None = (
        None
    )

    @model_validator(mode="after")
    def _pinpoints_fit(self) -> Self:
        side = self.vision_config and self.vision_config.image_size
        for pair in self.image_grid_pinpoints or ():
            if side and any(length % side for length in pair):
                raise ValueError(
                    f"image_grid_pinpoints {pair} is not made of crops of {side} x {side}"
                )
        return self


class _QwenVision(_Settings):
    depth: Depth | None = None
    hidden_size: Size | None = None
    num_heads: Size | None = None
    intermediate_size: Size | None = None
    hidden_act: Activation | None = None
    in_channels: Literal[3] | None = None
    patch_size: Size | None = None
    temporal_patch_size: Size | None = None
    spatial_merge_size: Size | None = None
    window_size: Size | None = None
    out_hidden_size: Size | None = None
    fullatt_block_indexes: list[int] | tuple[int, ...] | None = None
    deepstack_visual_indexes: list[int] | tuple[int, ...] | None = None

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        width, heads, depth = self.hidden_size, self.num_heads, self.depth
        if width and heads and width % (4 * heads):
            raise ValueError(
                f"hidden_size {width} does not divide into {heads} heads whose halves turn pairs"
            )
        token = (self.patch_size or 0) * (self.spatial_merge_size or 0)
        if token and self.window_size and self.window_size < token:
            raise ValueError(f"window_size {self.window_size} is less than a token, {token}")
        for name in ("fullatt_block_indexes", "deepstack_visual_indexes"):
            for block in getattr(self, name) or ():
                if depth and not 0 <= block < depth:
                    raise ValueError(f"{name} {block} is not one of {depth} blocks")
        return self


class _QwenRope(_Rope):
    mrope_section: list[Size] | None = None


class _QwenText(_Text):
    rope_parameters: _QwenRope | None = None

    @model_validator(mode="after")
    def _sections_fit(self) -> Self:
        size = self.head_dim
        if size is None and self.hidden_size and self.num_attention_heads:
            size = self.hidden_size // self.num_attention_heads
        sections = self.rope_parameters and self.rope_parameters.mrope_section
        if size and sections and 2 * sum(sections) != size:
            raise ValueError(f"mrope_section {sections} does not add up to half a head of {size}")
        return self


class _Qwen(_Settings):
    vision_config: _QwenVision | None = None
    text_config: _QwenText | None = None
    image_token_id: Annotated[int, Field(ge=0)] | None = None
    video_token_id: Annotated[int, Field(ge=0)] | None = None
    vision_start_token_id: Annotated[int, Field(ge=0)] | None = None
    tie_word_embeddings: bool | None = None

    @model_validator(mode="after")
    def _widths_fit(self) -> Self:
        if self.vision_config is None or self.text_config is None:
            return self
        given, read = self.vision_config.out_hidden_size, self.text_config.hidden_size
        if given and read and given != read:
            raise ValueError(
                f"vision_config.out_hidden_size {given} is not the language model's width, {read}"
            )
        vocabulary = self.text_config.vocab_size
        if vocabulary and self.image_token_id is not None and self.image_token_id >= vocabulary:
            raise ValueError(
                f"image_token_id {self.image_token_id} is not in a vocabulary of {vocabulary}"
                " (text_config.vocab_size)"
            )
        return self


class _AsStored(BaseModel):
    """What is written in the file, and a made configuration does not say."""

    dtype: Dtype | None = None
    torch_dtype: Dtype | None = None


class _Stored(_AsStored, _Llava):
    pass


class _StoredNext(_AsStored, _LlavaNext):
    pass


class _StoredQwen(_AsStored, _Qwen, _QwenText):
    """Its language model's settings stand in text_config, or at the top, as the first ones did."""


SCHEMAS: Mapping[str, tuple[type[BaseModel], type[BaseModel]]] = {
    "llava": (_Stored, _Llava),
    "llava_next": (_StoredNext, _LlavaNext),
    "qwen2_5_vl": (_StoredQwen, _Qwen),
    "qwen3_vl": (_StoredQwen, _Qwen),
}
"""By model_type: of the file, and of what transformers makes of it."""


def checked_config(path: str) -> Any:
    """transformers' configuration of the checkpoint `path`, a folder or a cached Hugging Face id.

    Raises:
        UserError: in one line, for a file that is not here or no JSON, for another architecture,
            and for a setting of a wrong type or an impossible value.
    """
    document = read_json(path, "config.json")
    if document is None:
        raise UserError(
            f"cannot load the checkpoint {path}: there is no config.json of it here: give a folder"
            " that holds one, or hf download it"
        )
    file = f"{find_file(path, 'config.json')}"
    kind = demand_kind(document.get("model_type"), path)
    stored, made = SCHEMAS[kind.model_type]
    _check(file, lambda: stored.model_validate(document))
    try:
        config = kind.model_class.config_class.from_dict(dict(document))
    except Exception as error:  # its validators raise errors of several libraries
        raise UserError(f"{file}: {' '.join(str(error).split())}") from error
    # Once more, with transformers' own values where the file has none.
    _check(file, lambda: made.model_validate(config))
    _as_transformers_ships(config, document, file)
    return config


def _check(file: str, validate: Callable[[], BaseModel]) -> None:
    try:
        validate()
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"] if isinstance(part, str))
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "value_error" and isinstance(
            first["input"], Mapping | PreTrainedConfig
        ):
            raise UserError(f"{file}: {place}: {message}".replace(": : ", ": ")) from error
        raise UserError(f"{file}: {place} is {_short(first['input'])}: {message}") from error


def _as_transformers_ships(config: Any, document: Mapping[str, Any], file: str) -> None:
    """Flags that change what dense does, and nothing in another arm, are set back."""
    dropped = {}
    for part, config_of_part in (
        ("", config),
        ("text_config", config.text_config),
        ("vision_config", config.vision_config),
    ):
        stored = document.get(part) if part else document
        for name, usual in FLAGS.items():
            if isinstance(stored, Mapping) and stored.get(name) not in (None, usual):
                dropped[f"{part}.{name}".lstrip(".")] = stored[name]
            setattr(config_of_part, name, usual)
    for name in ("attn_implementation", "_attn_implementation"):
        if document.get(name) not in (None, "sdpa"):
            dropped[name] = document[name]
    if dropped:
        listed = ", ".join(f"{name} {_short(value)}" for name, value in dropped.items())
        remark(f"every arm runs as transformers ships, so these of {file} are not used: {listed}")


def _short(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= SHORT else f"{text[:SHORT]}..."
