"""`HybridLlava`: a model with merged and pruned visual tokens, from pixels to token ids.

Reads top to bottom like the way of an image: `generate` -> `prefill` (vision, hand-over, layout,
layers, and in between what the language stages drop) -> `select` and `decode`, token by token.
Which tokens end where is not said here: stages say it, at the places of `hybrid.stages`. Nor is how
one model differs from another: that is a family's (`hybrid.families`).
Shapes: B samples of S prompt tokens, of which V at most are image placeholders, I images, N visual
slots, R tokens after layout (S - V + N), K kept visual tokens, T new tokens at most; A axes of a
position.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from os import PathLike
from typing import Any, Literal, NamedTuple, Self, overload

import torch
from torch import Tensor

from hybrid.architecture import check_architecture
from hybrid.cache import KVCache
from hybrid.checkpoint import load_model
from hybrid.config import ConfigError, HybridConfig, Keep
from hybrid.families import family_type
from hybrid.families.family import together
from hybrid.inputs import Images, Inputs, uploaded
from hybrid.masks import additive, causal_mask
from hybrid.merging import VisualTokens, rows
from hybrid.methods import stages_of
from hybrid.pruning import Allowance, Kept, keep_counts, kept_index
from hybrid.rope import Layout, consecutive_position_ids, layout, unmerging
from hybrid.stages import LanguageStage, Read, Seen, Standing, handed_over
from hybrid.state import Answer, Cut, Sequence, Span, State, Trace
from hybrid.stopping import EndWatch
from hybrid.vision import Looked


class Last(NamedTuple):
    """The last layer of a run: what it read [B, R, D], its query and key after RoPE."""

    hidden: Tensor
    query: Tensor
    key: Tensor


class HybridLlava:
    """A LLaVA-1.5, or a model of another family, that reads fewer visual tokens.

    Shares the weights of the model it is made from and leaves that model untouched.

    Args:
        llava: transformers' model, of a family in `hybrid.families`.
        config: what to reduce; the default reduces nothing.

    Raises:
        ConfigError: for another architecture, or a config that does not fit this model.
    """

    def __init__(self, llava: Any, config: HybridConfig) -> None:
        check_architecture(llava.config, config)
        self.config = config
        self.llava = llava
        layers: int = llava.config.text_config.num_hidden_layers
        self.stages = stages_of(config, layers)
        for ranking in self.stages.language:
            if ranking.layer >= layers:
                raise ConfigError(
                    f"{type(ranking).__name__} acts in front of layer {ranking.layer}: this"
                    f" language model allows 1 to {layers - 1}"
                )
        self.family = family_type(llava.config.model_type)(llava, self.stages)
        self.language, self.vision = self.family.language, self.family.vision
        self.projector = self.family.projector
        self.image_token_id = self.family.image_token_id
        self._counts: dict[Keep, Tensor] = {}
        self._count_up_to(self.family.slots or 0)
        ends = llava.generation_config.eos_token_id
        self.end_ids: list[int] = ends if isinstance(ends, list) else [] if ends is None else [ends]
        pad = llava.generation_config.pad_token_id
        self.pad_id: int = pad if pad is not None else (self.end_ids or [0])[0]

    @property
    def slots(self) -> int:
        """N of a prompt with one image.

        Raises:
            ConfigError: that depends on the image.
        """
        if self.family.slots is None:
            raise ConfigError(
                f"how many tokens an image of {self.family.name} has depends on its size: ask for"
                " the layers of a number of them, layer_slots_of(slots), such as slots_of(inputs)"
            )
        return self.family.slots

    def _count_up_to(self, slots: int) -> None:
        """Have on the device how many of up to so many tokens each stage keeps."""
        for stage in self.stages.language:
            known = self._counts.get(stage.keep)
            if known is None or len(known) <= slots:
                counts = keep_counts(stage.keep, slots)
                made = torch.tensor(counts, device=self.device)  # sync-ok: before a prompt is read
                self._counts[stage.keep] = made

    @property
    def budget(self) -> int:
        """K, visual slots that the last layer attends to, of a prompt with one image."""
        slots = self.slots
        for stage in self.stages.language:
            slots = stage.keep.of(slots)
        return slots

    @property
    def layer_slots(self) -> list[int]:
        """How many visual slots each layer of the language model gets, of one image."""
        return self.layer_slots_of(self.slots)

    def slots_of(self, inputs: Inputs) -> int:
        """N of a placed batch, of images of any size."""

        def left(grid: tuple[int, int]) -> int:
            patches = grid[0] * grid[1]
            merges = self.stages.tower or self.stages.image
            tokens: int = self.vision.slots if merges else patches
            for stage in self.stages.hand_over:
                tokens = stage.slots_in(grid) if tokens == patches else stage.slots_of(tokens)
            return tokens

        return self.family.slots_of(inputs, left)

    def layer_slots_of(self, slots: int) -> list[int]:
        """How many of N = `slots` visual slots each layer of the language model gets."""
        counts = list[int]()
        for stage in self.stages.language:
            counts += [slots] * (stage.layer - len(counts))
            slots = stage.keep.of(slots) if self.config.prune == "drop" else slots
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
        """Load a checkpoint of any family, by folder or Hugging Face id.

        Raises:
            ConfigError: it is not there, damaged, lacks a weight, or does not fit `config`.
        """
        return cls(load_model(path, dtype).to(device), config)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        device: torch.device = self.language.head.weight.device
        return device

    @overload
    def generate(
        self,
        input_ids: Tensor,
        pixel_values: Tensor | None = ...,
        attention_mask: Tensor | None = ...,
        *,
        max_new_tokens: int = ...,
        trace: Literal[False] = ...,
        **images: Tensor,
    ) -> Tensor: ...

    @overload
    def generate(
        self,
        input_ids: Tensor,
        pixel_values: Tensor | None = ...,
        attention_mask: Tensor | None = ...,
        *,
        max_new_tokens: int = ...,
        trace: Literal[True],
        **images: Tensor,
    ) -> tuple[Tensor, Trace]: ...

    @torch.inference_mode()
    def generate(
        self,
        input_ids: Tensor,
        pixel_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *,
        max_new_tokens: int = 512,
        trace: bool = False,
        **images: Tensor,
    ) -> Tensor | tuple[Tensor, Trace]:
        """Greedy generation, like transformers' `generate(do_sample=False)`.

        Args:
            input_ids: [B, S] int64, left-padded, with the placeholders of any number of images.
            pixel_values: what the model's processor makes of the images of all prompts, in order;
                None where none has one.
            attention_mask: [B, S], 0 for padding; None means no padding.
            max_new_tokens: T, the most tokens to add.
            trace: also return what was merged, ranked and kept.
            images: what else that processor says of them, such as their sizes.

        Returns:
            [B, S + t] int64 on the host, t <= T: prompt and answer, filled up with the pad token
            behind each sample's end; with `trace` also a `Trace` of device tensors.

        Raises:
            ConfigError: for images of a size that the model does not take, other images than there
                are placeholders for, and a prompt that is padded on the right or ends with an
                image.
        """
        inputs = self.place(input_ids, pixel_values, attention_mask, **images)
        answer = self.generate_no_sync(inputs, max_new_tokens)
        prompt = input_ids.shape[1]
        ids = torch.cat([inputs.input_ids[:, -prompt:], answer.new_ids], dim=1)
        ids = ids.to("cpu")  # sync-ok: the one read-back
        ends = torch.tensor(self.end_ids)  # sync-ok: stays on the host
        ended = torch.isin(ids[:, prompt:], ends).cumsum(dim=1) > 0
        longest = int((~ended).sum(dim=1).max()) + 1  # up to the last sample's end token
        ids = ids[:, : prompt + longest]
        return (ids, answer.trace) if trace else ids

    def place(
        self,
        input_ids: Tensor,
        pixel_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        **images: Tensor,
    ) -> Inputs:
        """Check a batch while it is on the host, find where everything stands, and upload it."""
        family = self.family
        if unknown := images.keys() - {*family.takes, *family.ignores}:
            raise ConfigError(
                f"{family.name} does not take {min(unknown)}: beside ids, mask and pixel_values it"
                f" takes {' and '.join(family.takes) or 'nothing'}"
            )
        placed = family.place(input_ids, pixel_values, attention_mask, **images)
        if placed.images is not None:
            if self.config.rope == "virtual":
                raise ConfigError(
                    "rope='virtual' unmerges one square image a prompt, and here are others: take"
                    " rope='logical'"
                )
            self._count_up_to(placed.images.placeholders)
        return uploaded(placed, self.device)

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
        visual = self._hand_over(inputs, seed)  # features: [B, N, D]
        begun = cache(lambda: self._lay_out(inputs, visual))
        sequence, places = self._lay_out(inputs, visual)  # hidden: [B, R, D]
        position_ids = sequence.position_ids
        kv = KVCache(len(layers), max_new_tokens)
        standing = Standing(places.place, visual.position, visual.valid)
        masked = inputs.padded or self._leaves_padding(inputs)
        spans, cuts, begin = [], list[Cut](), 0

        for stage in self.stages.language:
            above = range(begin, stage.layer)
            sequence, last = self._layers(above, sequence, masked, kv)
            spans.append(self._span(above, sequence, max_new_tokens))
            allowed = self._allowance(stage, standing, inputs)
            scores = stage.scores(  # [B, N]
                self._read(inputs, stage.layer, allowed, sequence, last, standing, seed, begun)
            )
            kept = allowed.keep(scores, standing.present)
            sequence, standing = self._prune(sequence, kept, standing)  # hidden: [B, R - N + K, D]
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
            position_ids = span.next_position[..., None] + state.step
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

    def _allowance(self, stage: LanguageStage, standing: Standing, inputs: Inputs) -> Allowance:
        """How many slots each prompt keeps behind `stage`, or each of its images."""
        slots, images = standing.present.shape[1], inputs.images
        self._count_up_to(slots)
        counts = self._counts[stage.keep][: slots + 1]
        if images is None or self.config.within == "prompt":
            return Allowance(counts, stage.keep.of(slots))
        each = max(1, *map(len, images.sizes))  # a prompt without one has a slot of nothing
        if images.even:
            most = each * stage.keep.of(slots // each)
        else:  # at most; what is left empty is masked
            most = max(1, *(sum(map(stage.keep.of, of_prompt)) for of_prompt in images.sizes))
        number = images.number.gather(1, standing.position)
        return Allowance(counts, min(most, slots), number, each)

    def _leaves_padding(self, inputs: Inputs) -> bool:
        """Whether what is left of images may differ in number, of prompts of one length, too."""
        if self.config.rope == "virtual":
            return False
        uneven = inputs.images is not None and not inputs.images.even
        drops = bool(self.stages.hand_over) or self.config.within == "image"
        return self.stages.tower is not None or (uneven and drops)

    def _hand_over(self, inputs: Inputs, seed: Callable[[], Tensor]) -> VisualTokens:
        """What of the tower's tokens reaches the language model, N slots a prompt."""
        looked = self.family.look(inputs)
        visual = looked.visual  # features: [I, n, D]
        whole = True
        if self.stages.hand_over and len(visual.valid):
            parts = []
            for image, grid, seen in self.family.alike(inputs, looked):
                seeds = partial(of_images, seed, inputs.images, image)
                parts.append((image, self._chosen(grid, seen, seeds)))
                whole = whole and parts[-1][1].valid.shape == seen.visual.valid.shape
            visual = together(parts, visual)
        return self.family.to_prompts(visual, inputs, whole=whole)

    def _chosen(
        self, grid: tuple[int, int], looked: Looked, seed: Callable[[], Tensor]
    ) -> VisualTokens:
        """What the hand-over stages leave of images of one size."""
        visual = looked.visual
        for stage in self.stages.hand_over:
            seen = Seen(
                visual=visual,
                grid=grid,
                attention=looked.attention,
                keys=looked.patch_keys,
                beyond=looked.beyond,
                project=self.family.project,
                seed=seed,
            )
            visual = handed_over(visual, stage.choose(seen))
        return visual

    def _lay_out(self, inputs: Inputs, visual: VisualTokens) -> tuple[Sequence, Layout]:
        """Put text and projected visual tokens in a row, at their logical positions."""
        places = layout(inputs.spots, visual.position)
        text = self.language.embed(inputs.input_ids)  # [B, S, D]
        features = self.family.embed(visual, inputs).to(text.dtype)  # [B, N, D]
        hidden = torch.where(
            places.is_visual[..., None],
            rows(features, places.visual_slot),
            rows(text, places.source),
        )
        deeper = tuple(
            at_slots(level.to(text.dtype), places) for level in self.family.deeper(visual)
        )
        unreduced_valid, logical = inputs.attention_mask.bool(), inputs.position_ids
        if self.config.rope == "virtual":
            is_image = inputs.input_ids == self.image_token_id
            virtual = unmerging(places, is_image, visual.owner, self.slots, hidden.dtype)
            return Sequence(hidden, logical, unreduced_valid, virtual, deeper), places
        valid = torch.where(
            places.is_visual,
            visual.valid.gather(1, places.visual_slot),
            unreduced_valid.gather(1, places.source),
        )
        if self.config.rope == "compact":
            position_ids = self._compact(logical, valid)
        else:
            position_ids = at(logical, places.source)
        return Sequence(hidden, position_ids, valid, deeper=deeper), places

    def _read(
        self,
        inputs: Inputs,
        layer: int,
        allowed: Allowance,
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
            count=partial(allowed.of_prompt, standing.present),
            cells=partial(self.family.cells, inputs, standing.position),
            seed=seed,
            begun=begun,
        )

    def _prune(
        self, sequence: Sequence, kept: Kept, standing: Standing
    ) -> tuple[Sequence, Standing]:
        """Drop (or hide) the visual tokens that were not kept."""
        length = sequence.valid.shape[1]
        index, stays, place = kept_index(kept, standing.place, length)
        if self.config.prune == "mask":
            nowhere = sequence.valid.new_zeros(len(index), length + 1)
            chosen = nowhere.scatter(1, index.where(stays, length), True)[:, :length]
            sequence = replace(sequence, valid=sequence.valid & chosen)
            standing = standing.behind(kept, None)
        else:
            sequence = Sequence(
                hidden=rows(sequence.hidden, index),
                position_ids=at(sequence.position_ids, index),
                valid=sequence.valid.gather(1, index) & stays,
                deeper=tuple(rows(level, index) for level in sequence.deeper),
            )
            standing = standing.behind(kept, place)
        if self.config.rope == "compact":
            compact = self._compact(sequence.position_ids, sequence.valid)
            sequence = replace(sequence, position_ids=compact)
        return sequence, standing

    def _compact(self, position_ids: Tensor, valid: Tensor) -> Tensor:
        """Renumbered as a naive port does, on each axis alike."""
        consecutive = consecutive_position_ids(valid)
        return consecutive.expand(*position_ids.shape[:-2], *consecutive.shape)

    def _layers(
        self, layers: range, sequence: Sequence, masked: bool, kv: KVCache
    ) -> tuple[Sequence, Last]:
        """Run a prompt through `layers`; also what the last one read, and its query and key.

        masked: False if causality alone says which keys a query may see, which is faster.
        """
        hidden, virtual, deeper = sequence.hidden, sequence.virtual, sequence.deeper
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
            if deeper:
                hidden, deeper = hidden + deeper[0], deeper[1:]
        return replace(sequence, hidden=hidden, deeper=deeper), Last(entered, query, key)

    def _span(self, layers: range, sequence: Sequence, max_new_tokens: int) -> Span:
        """What these layers need at decode; slots of tokens to come are not valid yet."""
        valid = sequence.valid
        to_come = valid.new_zeros(valid.shape[0], max_new_tokens)
        next_position = sequence.position_ids[..., -1] + 1
        return Span(layers, torch.cat([valid, to_come], dim=1), next_position)


def at(position_ids: Tensor, index: Tensor) -> Tensor:
    """Position ids [B, L], or [A, B, L] of A axes, at index [B, R] of the sequence."""
    return position_ids.gather(-1, index.expand(*position_ids.shape[:-1], -1))


def at_slots(features: Tensor, places: Layout) -> Tensor:
    """Features [B, N, D] where the slots stand, and 0 where text does: [B, R, D]."""
    is_text = ~places.is_visual[..., None]
    return rows(features, places.visual_slot).masked_fill(is_text, 0.0)


def of_images(seed: Callable[[], Tensor], images: Images | None, image: Tensor | None) -> Tensor:
    """A number for each image, or those of `image`: its prompt's, and one more for each image
    before it there."""
    of_prompts = seed()
    if images is None:
        return of_prompts
    seeds = of_prompts[images.prompt] + images.nth
    return seeds if image is None else seeds[image]


def hybridize(llava: Any, config: HybridConfig) -> HybridLlava:
    """A `HybridLlava` that shares the weights of `llava` and leaves it untouched."""
    return HybridLlava(llava, config)
