"""`HybridLlava`: LLaVA-1.5 with merged and pruned visual tokens, from pixels to token ids.

Reads top to bottom like the way of an image: `generate` -> `prefill` (vision, hand-over, layout,
layers, and in between what the language stages drop) -> `select` and `decode`, token by token.
Which tokens end where is not said here: stages say it, at the places of `hybrid.stages`.
Shapes: B samples, S prompt tokens with P image placeholders, N visual slots, R = S - P + N tokens
after layout, K kept visual tokens, T new tokens at most.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from os import PathLike
from typing import Any, Literal, NamedTuple, Self, overload

import torch
from torch import Tensor
from transformers import LlavaForConditionalGeneration

from hybrid.architecture import check_architecture
from hybrid.cache import KVCache
from hybrid.checkpoint import load_llava
from hybrid.config import ConfigError, HybridConfig
from hybrid.inputs import Inputs, place
from hybrid.language import Language
from hybrid.masks import additive, causal_mask
from hybrid.merging import VisualTokens, rows
from hybrid.methods import stages_of
from hybrid.pruning import Kept, keep_counts, keep_top, kept_index
from hybrid.rope import Layout, consecutive_position_ids, layout, unmerging
from hybrid.stages import LanguageStage, Read, Seen, Standing, handed_over
from hybrid.state import Answer, Cut, Sequence, Span, State, Trace
from hybrid.stopping import EndWatch
from hybrid.vision import Looked, VisionTower


class Last(NamedTuple):
    """The last layer of a run: what it read [B, R, D], its query and key after RoPE."""

    hidden: Tensor
    query: Tensor
    key: Tensor


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
        check_architecture(settings, config)
        self.config = config
        self.llava = llava
        model: Any = llava.model
        self.language = Language(model.language_model, llava.lm_head)
        layers = len(self.language.layers)
        self.stages = stages_of(config, layers)
        self.vision = VisionTower(
            model.vision_tower,
            settings.vision_feature_layer,
            self.stages.tower,
            image=self.stages.image,
            remembers=any(stage.asks_tower for stage in self.stages.hand_over),
        )
        slots = self.vision.slots
        for stage in self.stages.hand_over:
            slots = stage.slots_of(slots)
        self.slots = slots  # N
        self.cuts: list[tuple[LanguageStage, int, Tensor]] = []
        for ranking in self.stages.language:
            if ranking.layer >= layers:
                raise ConfigError(
                    f"{type(ranking).__name__} acts in front of layer {ranking.layer}: this"
                    f" language model allows 1 to {layers - 1}"
                )
            counts = keep_counts(ranking.keep, slots)
            on_device = torch.tensor(counts, device=self.device)  # sync-ok: once a model
            self.cuts.append((ranking, counts[-1], on_device))
            slots = counts[-1] if config.prune == "drop" else slots
        self.budget = self.cuts[-1][1] if self.cuts else slots  # K
        self.projector = model.multi_modal_projector
        self.image_token_id: int = settings.image_token_id
        ends = llava.generation_config.eos_token_id
        self.end_ids: list[int] = ends if isinstance(ends, list) else [] if ends is None else [ends]
        pad = llava.generation_config.pad_token_id
        self.pad_id: int = pad if pad is not None else (self.end_ids or [0])[0]

    @property
    def layer_slots(self) -> list[int]:
        """How many visual slots each layer of the language model gets."""
        slots, counts = self.slots, list[int]()
        for stage, budget, _ in self.cuts:
            counts += [slots] * (stage.layer - len(counts))
            slots = budget if self.config.prune == "drop" else slots
        return counts + [slots] * (len(self.language.layers) - len(counts))

    @classmethod
    def from_pretrained(
        cls,
        path: str | PathLike[str],
        config: HybridConfig,
        *,
        dtype: torch.dtype = torch.float32,
        device: str | torch.device = "cpu",
    ) -> Self:
        """Load a LLaVA-1.5 checkpoint, by folder or Hugging Face id.

        Raises:
            ConfigError: it is not there, damaged, lacks a weight, or does not fit `config`.
        """
        llava: Any = load_llava(path, dtype)
        return cls(llava.to(device), config)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        device: torch.device = self.language.head.weight.device
        return device

    @overload
    def generate(
        self,
        input_ids: Tensor,
        pixel_values: Tensor,
        attention_mask: Tensor | None = ...,
        *,
        max_new_tokens: int = ...,
        trace: Literal[False] = ...,
    ) -> Tensor: ...

    @overload
    def generate(
        self,
        input_ids: Tensor,
        pixel_values: Tensor,
        attention_mask: Tensor | None = ...,
        *,
        max_new_tokens: int = ...,
        trace: Literal[True],
    ) -> tuple[Tensor, Trace]: ...

    @torch.inference_mode()
    def generate(
        self,
        input_ids: Tensor,
        pixel_values: Tensor,
        attention_mask: Tensor | None = None,
        *,
        max_new_tokens: int = 512,
        trace: bool = False,
    ) -> Tensor | tuple[Tensor, Trace]:
        """Greedy generation, like transformers' `generate(do_sample=False)`.

        Args:
            input_ids: [B, S] int64, left-padded, one run of P image placeholders in each row.
            pixel_values: [B, 3, H, W], one image a prompt.
            attention_mask: [B, S], 0 for padding; None means no padding.
            max_new_tokens: T, the most tokens to add.
            trace: also return what was merged, ranked and kept.

        Returns:
            [B, S + t] int64 on the host, t <= T: prompt and answer, filled up with the pad token
            behind each sample's end; with `trace` also a `Trace` of device tensors.

        Raises:
            ConfigError: for images of another size than the model's, and a prompt without an image,
                with two, or padded on the right.
        """
        inputs = self.place(input_ids, pixel_values, attention_mask)
        answer = self.generate_no_sync(inputs, max_new_tokens)
        ids = torch.cat([inputs.input_ids, answer.new_ids], dim=1)
        ids = ids.to("cpu")  # sync-ok: the one read-back
        prompt = inputs.input_ids.shape[1]
        ends = torch.tensor(self.end_ids)  # sync-ok: stays on the host
        ended = torch.isin(ids[:, prompt:], ends).cumsum(dim=1) > 0
        longest = int((~ended).sum(dim=1).max()) + 1  # up to the last sample's end token
        ids = ids[:, : prompt + longest]
        return (ids, answer.trace) if trace else ids

    def place(
        self, input_ids: Tensor, pixel_values: Tensor, attention_mask: Tensor | None = None
    ) -> Inputs:
        """Check a batch while it is on the host, and upload it."""
        return place(
            input_ids,
            pixel_values.to(self.language.head.weight.dtype),
            attention_mask,
            image_token_id=self.image_token_id,
            patches=self.vision.patches,
            side=self.vision.side,
            device=self.device,
        )

    @torch.inference_mode()
    def generate_no_sync(self, inputs: Inputs, max_new_tokens: int) -> Answer:
        """Answer a batch that is on the device; the host never waits for the device in here."""
        if max_new_tokens < 1:
            raise ConfigError(f"max_new_tokens={max_new_tokens} must be at least 1")
        state = self.prefill(inputs, max_new_tokens)
        watch = EndWatch(self.device)
        for count in range(1, max_new_tokens + 1):
            self.select(state)
            if count == max_new_tokens or watch.all_ended(state.finished):
                break
            self.decode(state)
        return Answer(state.ids[:, :count], state.trace)

    @torch.inference_mode()
    def prefill(self, inputs: Inputs, max_new_tokens: int) -> State:
        """Read the prompt: fills the cache and gives the first new token's logits."""
        config, layers = self.config, self.language.layers
        # One seed a prompt, which padding does not change and the order of its tokens does.
        seed = cache(lambda: (inputs.input_ids * inputs.attention_mask.cumsum(dim=1)).sum(dim=1))
        visual = self._hand_over(self.vision.look(inputs.pixel_values), seed)  # features: [B, N, D]
        begun = cache(lambda: self._lay_out(inputs, visual))
        sequence, places = self._lay_out(inputs, visual)  # hidden: [B, R, D]
        position_ids = sequence.position_ids
        kv = KVCache(len(layers), max_new_tokens)
        standing = Standing(places.first, visual.position, visual.valid)
        masked = inputs.padded or (self.stages.leaves_padding and config.rope != "virtual")
        spans, cuts, begin = [], list[Cut](), 0

        for stage, budget, counts in self.cuts:
            if cuts:
                standing = standing.behind(cuts[-1].kept, dropped=config.prune == "drop")
            above = range(begin, stage.layer)
            sequence, last = self._layers(above, sequence, masked, kv)
            spans.append(self._span(above, sequence, max_new_tokens))
            scores = stage.scores(  # [B, N]
                self._read(stage.layer, sequence, last, standing, seed, begun)
            )
            kept = keep_top(scores, standing.present, counts, budget)
            sequence = self._prune(sequence, kept, standing)  # hidden: [B, R - N + K, D]
            masked = masked or config.prune == "mask"
            cuts.append(Cut(scores, kept, sequence.position_ids))
            begin = stage.layer

        rest = range(begin, len(layers))
        sequence, _ = self._layers(rest, sequence, masked, kv)
        spans.append(self._span(rest, sequence, max_new_tokens))
        batch = inputs.batch
        return State(
            # Left padding: the last token is never padding.
            logits=self.language.logits(sequence.hidden[:, -1]),
            token=torch.zeros(batch, dtype=torch.long, device=self.device),
            ids=torch.zeros(batch, max_new_tokens, dtype=torch.long, device=self.device),
            finished=torch.zeros(batch, dtype=torch.bool, device=self.device),
            step=torch.zeros(1, dtype=torch.long, device=self.device),
            cache=kv,
            spans=tuple(spans),
            trace=Trace(visual, places, position_ids, tuple(cuts), config.prune == "drop"),
        )

    @torch.inference_mode()
    def select(self, state: State) -> None:
        """Choose the most likely token, or padding for a sample that has ended."""
        token = state.logits.argmax(dim=-1).masked_fill(state.finished, self.pad_id)  # [B]
        for end_id in self.end_ids:
            state.finished.logical_or_(token == end_id)
        state.token.copy_(token)
        state.ids.index_copy_(1, state.step, token[:, None])

    @torch.inference_mode()
    def decode(self, state: State) -> None:
        """Feed the chosen token, and put the next one's logits into `state`."""
        hidden = self.language.embed(state.token[:, None])  # [B, 1, D]
        for span in state.spans:
            position_ids = span.next_position[:, None] + state.step
            rotary = self.language.rotary(hidden, position_ids)
            slot = state.step + (span.valid.shape[1] - state.ids.shape[1])  # [1]
            span.valid.index_fill_(1, slot, True)
            mask = additive(span.valid[:, None, None, :], hidden.dtype)
            for i in span.layers:
                query, key, value = self.language.project(i, hidden, rotary)
                keys, values = state.cache.append(i, slot, key, value)
                attended = self.language.attend(i, query, keys, values, mask)
                hidden = self.language.finish(i, hidden, attended)
        state.step.add_(1)
        state.logits.copy_(self.language.logits(hidden[:, -1]))

    def _hand_over(self, looked: Looked, seed: Callable[[], Tensor]) -> VisualTokens:
        """What of the tower's tokens reaches the language model, N slots."""
        visual = looked.visual
        for stage in self.stages.hand_over:
            seen = Seen(
                visual=visual,
                grid=self.vision.grid,
                attention=looked.attention,
                keys=looked.patch_keys,
                beyond=looked.beyond,
                project=self.projector,
                seed=seed,
            )
            visual = handed_over(visual, stage.choose(seen))
        return visual

    def _lay_out(self, inputs: Inputs, visual: VisualTokens) -> tuple[Sequence, Layout]:
        """Put text and projected visual tokens in a row, at their logical positions."""
        is_image = inputs.input_ids == self.image_token_id
        places = layout(is_image, visual.position, self.vision.patches)
        text = self.language.embed(inputs.input_ids)  # [B, S, D]
        features = self.projector(visual.features).to(text.dtype)  # [B, N, D]
        hidden = torch.where(
            places.is_visual[..., None],
            rows(features, places.visual_slot),
            rows(text, places.source),
        )
        unreduced_valid = inputs.attention_mask.bool()
        logical = consecutive_position_ids(unreduced_valid)  # [B, S]
        if self.config.rope == "virtual":
            virtual = unmerging(places, is_image, visual.owner, self.slots, hidden.dtype)
            return Sequence(hidden, logical, unreduced_valid, virtual), places
        valid = torch.where(
            places.is_visual,
            visual.valid.gather(1, places.visual_slot),
            unreduced_valid.gather(1, places.source),
        )
        if self.config.rope == "compact":
            return Sequence(hidden, consecutive_position_ids(valid), valid), places
        return Sequence(hidden, logical.gather(1, places.source), valid), places

    def _read(
        self,
        layer: int,
        sequence: Sequence,
        last: Last,
        standing: Standing,
        seed: Callable[[], Tensor],
        begun: Callable[[], tuple[Sequence, Layout]],
    ) -> Read:
        """What stands in front of `layer`, for the stage that acts there."""
        rotary = partial(self.language.rotary, sequence.hidden, sequence.position_ids)
        return Read(
            hidden=sequence.hidden,
            query=last.query,
            key=last.key,
            unrotated=lambda: self.language.project(layer - 1, last.hidden, None)[:2],
            own=lambda: self.language.project(layer, sequence.hidden, rotary())[:2],
            normed=self.language.normed,
            scaling=self.language.scaling(layer - 1),
            valid=sequence.valid,
            standing=standing,
            grid=self.vision.grid,
            seed=seed,
            begun=begun,
        )

    def _prune(self, sequence: Sequence, kept: Kept, standing: Standing) -> Sequence:
        """Drop (or hide) the visual tokens that were not kept."""
        length, slots = sequence.valid.shape[1], standing.present.shape[1]
        index, stays = kept_index(kept, standing.first, length, slots)
        if self.config.prune == "mask":
            nowhere = sequence.valid.new_zeros(len(index), length + 1)
            chosen = nowhere.scatter(1, index.where(stays, length), True)[:, :length]
            sequence = replace(sequence, valid=sequence.valid & chosen)
        else:
            sequence = Sequence(
                hidden=rows(sequence.hidden, index),
                position_ids=sequence.position_ids.gather(1, index),
                valid=sequence.valid.gather(1, index) & stays,
            )
        if self.config.rope == "compact":
            return replace(sequence, position_ids=consecutive_position_ids(sequence.valid))
        return sequence

    def _layers(
        self, layers: range, sequence: Sequence, masked: bool, kv: KVCache
    ) -> tuple[Sequence, Last]:
        """Run a prompt through `layers`; also what the last one read, and its query and key.

        masked: False if causality alone says which keys a query may see, which is faster.
        """
        hidden, virtual = sequence.hidden, sequence.virtual
        rotary = self.language.rotary(hidden, sequence.position_ids)
        mask = additive(causal_mask(sequence.valid), hidden.dtype) if masked else None
        for i in layers:
            entered = hidden
            query, key, value = self.language.project(i, hidden, rotary, virtual)
            kv.start(i, key, value)
            attended = self.language.attend(i, query, key, value, mask)
            if virtual is not None:
                attended = virtual.merge(attended)
            hidden = self.language.finish(i, hidden, attended)
        return replace(sequence, hidden=hidden), Last(entered, query, key)

    def _span(self, layers: range, sequence: Sequence, max_new_tokens: int) -> Span:
        """What these layers need at decode; slots of tokens to come are not valid yet."""
        valid = sequence.valid
        to_come = valid.new_zeros(valid.shape[0], max_new_tokens)
        next_position = sequence.position_ids[:, -1] + 1
        return Span(layers, torch.cat([valid, to_come], dim=1), next_position)


def hybridize(llava: LlavaForConditionalGeneration, config: HybridConfig) -> HybridLlava:
    """A `HybridLlava` that shares the weights of `llava` and leaves it untouched."""
    return HybridLlava(llava, config)
