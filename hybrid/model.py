"""`HybridLlava`: LLaVA-1.5 with merged and pruned visual tokens, from pixels to token ids.

Reads top to bottom like the way of an image: `generate` -> `prefill` (vision, projector, layout,
long layers, pruning, short layers) -> `decode`. Shapes: B samples, S prompt tokens with P image
placeholders, N visual slots, R = S - P + N tokens after layout, K kept visual tokens.
"""

from dataclasses import dataclass, field
from os import PathLike
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import LlavaForConditionalGeneration
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from hybrid.cache import KVCache
from hybrid.config import ConfigError, HybridConfig
from hybrid.inputs import Inputs, place
from hybrid.merging import VisualTokens
from hybrid.pruning import Kept, keep_top, kept_index, last_row_scores, rank_scores
from hybrid.rope import Layout, causal_mask, compact_position_ids, layout, logical_position_ids
from hybrid.stopping import EndWatch
from hybrid.vision import VisionTower


@dataclass(frozen=True)
class Sequence:
    """What a run of layers works on: hidden [B, R, D], position_ids [B, R], valid [B, R] bool."""

    hidden: Tensor
    position_ids: Tensor
    valid: Tensor


@dataclass(frozen=True)
class Trace:
    """What was merged, ranked and kept; device tensors that the prefill made anyway.

    Attributes:
        visual: merged tokens: which patch owns which slot, and representatives.
        layout: where each token of the reduced sequence comes from.
        position_ids: of the layers up to the aggregation layer, [B, R].
        scores: [B, N] float32, the ranking row over visual slots; None without pruning.
        kept: slots that stayed; None without pruning.
        pruned_position_ids: of the layers behind the aggregation layer.
    """

    visual: VisualTokens
    layout: Layout
    position_ids: Tensor
    scores: Tensor | None
    kept: Kept | None
    pruned_position_ids: Tensor


@dataclass
class Span:
    """What decode has to know of layers that saw the same tokens at prefill.

    Attributes:
        layers: their indices.
        valid: [B, R + T] bool, which cache entries may be attended to; None: all of them.
        next_position: [B] int64, the position id of the first new token.
    """

    layers: range
    valid: Tensor | None
    next_position: Tensor


@dataclass
class State:
    """A prefilled prompt, ready to decode: logits [B, V] of the next token, cache and spans."""

    logits: Tensor
    cache: KVCache
    spans: list[Span]
    trace: Trace
    new_tokens: int = field(default=0)


class HybridLlava:
    """A LLaVA-1.5 that reads fewer visual tokens.

    Shares the weights of the model it is made from and leaves that model untouched.

    Args:
        llava: transformers' model with a CLIP tower and a Llama language model.
        config: what to reduce; the default reduces nothing.

    Raises:
        ConfigError: for another architecture, or a config that does not fit this model.
    """

    def __init__(self, llava: LlavaForConditionalGeneration, config: HybridConfig) -> None:
        settings: Any = llava.config
        _check_architecture(settings, config)
        self.config = config
        self.llava = llava
        model: Any = llava.model
        self.vision = VisionTower(
            model.vision_tower,
            settings.vision_feature_layer,
            config.thresholds,
            config.capacity,
        )
        self.projector = model.multi_modal_projector
        self.language: Any = model.language_model
        self.lm_head = llava.lm_head
        self.image_token_id: int = settings.image_token_id
        ends = llava.generation_config.eos_token_id
        self.end_ids: list[int] = ends if isinstance(ends, list) else [] if ends is None else [ends]
        pad = llava.generation_config.pad_token_id
        self.pad_id: int = pad if pad is not None else (self.end_ids or [0])[0]

    @classmethod
    def from_pretrained(
        cls,
        path: str | PathLike[str],
        config: HybridConfig,
        *,
        dtype: torch.dtype = torch.float32,
        device: str | torch.device = "cpu",
    ) -> Self:
        """Load a LLaVA-1.5 checkpoint, by folder or Hugging Face id."""
        llava = LlavaForConditionalGeneration.from_pretrained(path, dtype=dtype)
        return cls(llava.to(device).eval(), config)  # type: ignore[arg-type]

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        device: torch.device = self.lm_head.weight.device
        return device

    @torch.inference_mode()
    def generate(
        self,
        input_ids: Tensor,
        pixel_values: Tensor,
        attention_mask: Tensor | None = None,
        *,
        max_new_tokens: int = 512,
    ) -> Tensor:
        """Greedy generation, like transformers' `generate(do_sample=False)`.

        Args:
            input_ids: [B, S] int64, left-padded, one run of P image placeholders in each row.
            pixel_values: [B, 3, H, W], one image a prompt.
            attention_mask: [B, S], 0 for padding; None means no padding.
            max_new_tokens: the most tokens to add.

        Returns:
            [B, S + T] int64 on the host: prompt and answer, filled up with the pad token behind
            each sample's end.

        Raises:
            ConfigError: for a prompt without an image, with two, or padded on the right.
        """
        inputs = self.place(input_ids, pixel_values, attention_mask)
        new_ids = self.generate_no_sync(inputs, max_new_tokens).to("cpu")  # the one read-back
        ends = torch.tensor(self.end_ids)
        lengths = (torch.isin(new_ids, ends).cumsum(dim=1) == 0).sum(dim=1) + 1
        new_ids = new_ids[:, : int(lengths.max())]
        return torch.cat([inputs.input_ids.to("cpu"), new_ids], dim=1)

    def place(
        self, input_ids: Tensor, pixel_values: Tensor, attention_mask: Tensor | None = None
    ) -> Inputs:
        """Check a batch while it is on the host, and upload it."""
        return place(
            input_ids,
            pixel_values.to(self.lm_head.weight.dtype),
            attention_mask,
            image_token_id=self.image_token_id,
            patches=self.vision.patches,
            device=self.device,
        )

    @torch.inference_mode()
    def generate_no_sync(self, inputs: Inputs, max_new_tokens: int) -> Tensor:
        """New token ids [B, T] on the device; the host never waits for the device in here.

        T is `max_new_tokens` or less; a sample's end is followed by pad tokens.
        """
        state = self.prefill(inputs, max_new_tokens)
        watch = EndWatch(self.device)
        finished = torch.zeros(inputs.batch, dtype=torch.bool, device=self.device)
        tokens: list[Tensor] = []
        while True:
            token = state.logits.argmax(dim=-1).masked_fill(finished, self.pad_id)  # [B]
            for end_id in self.end_ids:
                finished = finished | (token == end_id)
            tokens.append(token)
            if len(tokens) == max_new_tokens or watch.all_ended(finished):
                return torch.stack(tokens, dim=1)
            self.decode(state, token)

    @torch.inference_mode()
    def prefill(self, inputs: Inputs, max_new_tokens: int) -> State:
        """Read the prompt: fills the cache and gives the first new token's logits."""
        config, layers = self.config, self.language.layers
        aggregation = config.aggregation_layer
        visual = self.vision(inputs.pixel_values)  # features: [B, N, D_vision]
        sequence, places = self._lay_out(inputs, visual)  # hidden: [B, R, D]
        positions = sequence.position_ids
        masked = inputs.padded or config.thresholds is not None
        prunes = config.budget.prunes
        cache = KVCache(len(layers), max_new_tokens)
        scores, kept = None, None

        long = range(aggregation + 1) if prunes else range(len(layers))
        rotary, mask = self._attention_inputs(sequence, masked)
        for i in long:
            hidden, query, key = self._layer(i, sequence.hidden, rotary, mask, cache)
            sequence = Sequence(hidden, sequence.position_ids, sequence.valid)
        spans = [self._span(long, sequence, masked, max_new_tokens)]

        if prunes:
            row = last_row_scores(
                query[:, :, -1:], key, sequence.valid, layers[aggregation].self_attn.scaling
            )
            slots = places.first[:, None] + torch.arange(visual.valid.shape[1], device=row.device)
            scores = row.gather(1, slots)  # [B, N]
            ranked = rank_scores(scores, visual.position, inputs.input_ids.sum(dim=1), config.rank)
            kept = keep_top(ranked, visual.valid, config.budget)
            masked = masked or config.prune == "mask"
            sequence = self._prune(sequence, kept, places)  # hidden: [B, R - N + K, D]
            rotary, mask = self._attention_inputs(sequence, masked)
            short = range(aggregation + 1, len(layers))
            for i in short:
                hidden, _, _ = self._layer(i, sequence.hidden, rotary, mask, cache)
                sequence = Sequence(hidden, sequence.position_ids, sequence.valid)
            spans.append(self._span(short, sequence, masked, max_new_tokens))

        return State(
            logits=self._logits(sequence.hidden[:, -1]),  # left padding: the last is never padding
            cache=cache,
            spans=spans,
            trace=Trace(visual, places, positions, scores, kept, sequence.position_ids),
        )

    @torch.inference_mode()
    def decode(self, state: State, token: Tensor) -> None:
        """Feed token [B] and put the next token's logits [B, V] into `state`."""
        hidden = self.language.embed_tokens(token[:, None])  # [B, 1, D]
        for span in state.spans:
            position_ids = span.next_position[:, None] + state.new_tokens
            rotary = self.language.rotary_emb(hidden, position_ids)
            for i in span.layers:
                mask = None
                if span.valid is not None:
                    mask = span.valid[:, None, None, : state.cache.length(i) + 1]
                hidden, _, _ = self._layer(i, hidden, rotary, mask, state.cache)
        state.new_tokens += 1
        state.logits = self._logits(hidden[:, -1])

    def _lay_out(self, inputs: Inputs, visual: VisualTokens) -> tuple[Sequence, Layout]:
        """Put text and projected visual tokens in a row, at their logical positions."""
        is_image = inputs.input_ids == self.image_token_id
        places = layout(is_image, visual.position, self.vision.patches)
        text = self.language.embed_tokens(inputs.input_ids)  # [B, S, D]
        features = self.projector(visual.features).to(text.dtype)  # [B, N, D]
        width = text.shape[-1]
        hidden = torch.where(
            places.is_visual[..., None],
            features.gather(1, places.visual_slot[..., None].expand(-1, -1, width)),
            text.gather(1, places.source[..., None].expand(-1, -1, width)),
        )
        valid = torch.where(
            places.is_visual,
            visual.valid.gather(1, places.visual_slot),
            inputs.attention_mask.bool().gather(1, places.source),
        )
        if self.config.rope == "compact":
            return Sequence(hidden, compact_position_ids(valid), valid), places
        position_ids = logical_position_ids(inputs.attention_mask, places.source)
        return Sequence(hidden, position_ids, valid), places

    def _prune(self, sequence: Sequence, kept: Kept, places: Layout) -> Sequence:
        """Drop (or hide) the visual tokens that were not kept."""
        length = sequence.valid.shape[1]
        index, stays = kept_index(kept, places.first, length, self.vision.capacity)
        if self.config.prune == "mask":
            chosen = torch.zeros_like(sequence.valid).scatter_reduce(1, index, stays, reduce="amax")
            return Sequence(sequence.hidden, sequence.position_ids, sequence.valid & chosen)
        width = sequence.hidden.shape[-1]
        hidden = sequence.hidden.gather(1, index[..., None].expand(-1, -1, width))
        valid = sequence.valid.gather(1, index) & stays
        if self.config.rope == "compact":
            return Sequence(hidden, compact_position_ids(valid), valid)
        return Sequence(hidden, sequence.position_ids.gather(1, index), valid)

    def _attention_inputs(
        self, sequence: Sequence, masked: bool
    ) -> tuple[tuple[Tensor, Tensor], Tensor | None]:
        """RoPE tables, and a mask only where causality alone does not say it all."""
        rotary = self.language.rotary_emb(sequence.hidden, sequence.position_ids)
        return rotary, causal_mask(sequence.valid) if masked else None

    def _layer(
        self,
        index: int,
        hidden: Tensor,
        rotary: tuple[Tensor, Tensor],
        mask: Tensor | None,
        cache: KVCache,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One Llama layer: hidden [B, R, D], and its query and key after RoPE."""
        layer = self.language.layers[index]
        attention = layer.self_attn
        normed = layer.input_layernorm(hidden)
        heads = (*hidden.shape[:-1], -1, attention.head_dim)
        query = attention.q_proj(normed).view(heads).transpose(1, 2)  # [B, H, R, C]
        key = attention.k_proj(normed).view(heads).transpose(1, 2)  # [B, G, R, C]
        value = attention.v_proj(normed).view(heads).transpose(1, 2)
        query, key = apply_rotary_pos_emb(query, key, *rotary)
        keys, values = cache.update(index, key, value)
        attended = scaled_dot_product_attention(
            query,
            keys,
            values,
            attn_mask=mask,
            is_causal=mask is None and query.shape[2] > 1,
            scale=attention.scaling,
            enable_gqa=attention.num_key_value_groups > 1,
        )
        attended = attended.transpose(1, 2).flatten(start_dim=2)
        hidden = hidden + attention.o_proj(attended)
        hidden = hidden + layer.mlp(layer.post_attention_layernorm(hidden))
        return hidden, query, key

    def _logits(self, hidden: Tensor) -> Tensor:
        """Logits [B, V] of the last hidden state [B, D]."""
        logits: Tensor = self.lm_head(self.language.norm(hidden))
        return logits

    def _span(self, layers: range, sequence: Sequence, masked: bool, max_new_tokens: int) -> Span:
        """What these layers need at decode; new tokens are always valid."""
        valid = None
        if masked:
            new = sequence.valid.new_ones(sequence.valid.shape[0], max_new_tokens)
            valid = torch.cat([sequence.valid, new], dim=1)
        return Span(layers, valid, sequence.position_ids[:, -1] + 1)


def hybridize(llava: LlavaForConditionalGeneration, config: HybridConfig) -> HybridLlava:
    """A `HybridLlava` that shares the weights of `llava` and leaves it untouched."""
    return HybridLlava(llava, config)


def _check_architecture(llava: Any, config: HybridConfig) -> None:
    """`llava` is the checkpoint's own configuration."""
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
    if config.budget.prunes and config.aggregation_layer > last:
        raise ConfigError(
            f"aggregation_layer={config.aggregation_layer} leaves no layer to prune: "
            f"this language model allows 0 to {last}"
        )


__all__ = ["HybridLlava", "Sequence", "Span", "State", "Trace", "hybridize"]
