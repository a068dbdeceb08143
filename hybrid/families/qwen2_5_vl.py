"""Qwen2.5-VL: images of any size, a tower of windows, positions on three axes.

https://arxiv.org/abs/2502.13923; transformers' `Qwen2_5_VLForConditionalGeneration`. A patch's
place is (time, height, width); text behind an image goes on from its longer side, and not from how
many tokens it has. What the tower has to know of sizes is found on the host, in `place`, and so is
each position, so that nothing waits behind it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import rms_norm, scaled_dot_product_attention
from torch.nn.utils.rnn import pad_sequence
from transformers import Qwen2_5_VLForConditionalGeneration
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import apply_rotary_pos_emb_vision

from hybrid.config import ConfigError
from hybrid.families.family import Alike, Family, nothing
from hybrid.inputs import Inputs, arranged, cells_of, images_in, images_of, mask_of, runs_of
from hybrid.language import Language
from hybrid.masks import additive
from hybrid.merging import VisualTokens, at_least_float32
from hybrid.methods import Stages

Grid = tuple[int, int]


class Groups(NamedTuple):
    """Which patches attend to each other, in groups as long as the longest of them.

    Attributes:
        member: [G, L] int64, a patch among the M; 0 where a group is shorter.
        valid: [G, L] bool.
        back: [M] int64, where each patch stands among the G L.
        even: whether no group is shorter, so that no mask is needed.
    """

    member: Tensor
    valid: Tensor
    back: Tensor
    even: bool


class Same(NamedTuple):
    """Images of one size: which [G] int64, and how many tokens, high and wide."""

    image: Tensor
    grid: Grid


class Packing(NamedTuple):
    """M patches of I images in a row, each image's in blocks of those that become one token.

    Attributes:
        order: [M] int64, the patch that the blocks read here: windows one after the other.
        place: [M, 2] int64, each patch's row and column, in that order.
        windows: groups of that order.
        images: the same for blocks that see the whole image.
        token: [I, n] int64, the merged token, in that order, of each place of an image in raster
            order; 0 past an image's own.
        valid: [I, n] bool.
        alike: images by their size.
    """

    order: Tensor
    place: Tensor
    windows: Groups
    images: Groups
    token: Tensor
    valid: Tensor
    alike: tuple["Same", ...]


class Qwen2_5VL(Family):
    """Qwen2.5-VL, images only."""

    model_type = "qwen2_5_vl"
    name = "Qwen2.5-VL"
    model_class = Qwen2_5_VLForConditionalGeneration
    takes = ("image_grid_thw",)
    ignores = ("mm_token_type_ids",)
    vision: "WindowedTower"
    patches = slots = None

    @classmethod
    def check(cls, settings: Any) -> None:
        if settings.text_config.use_sliding_window:
            raise ConfigError(f"use_sliding_window is not supported in {cls.name}: set it to false")

    def __init__(self, model: Any, stages: Stages) -> None:
        if stages.tower or stages.image:
            stage: Any = stages.tower or stages.image
            raise ConfigError(
                f"{type(stage).__name__} acts on a CLIP tower or in front of it, and that of"
                f" {self.name} has windows: take a method of the hand-over or language place"
            )
        self.language = Language(model.model.language_model, model.lm_head)
        remembers = any(stage.asks_tower for stage in stages.hand_over)
        self.vision = WindowedTower(model.model.visual, remembers=remembers)
        self.projector = nn.Identity()  # the tower's merger has given the language model's width
        self.image_token_id = model.config.image_token_id
        self.video_token_id = model.config.video_token_id

    def place(
        self,
        input_ids: Tensor,
        pixel_values: Tensor | None,
        attention_mask: Tensor | None,
        **images: Tensor,
    ) -> Inputs:
        """`image_grid_thw` [I, 3] says how many patches each image has."""
        if input_ids.device.type != "cpu":
            raise ConfigError(
                f"prompts of {self.name} are looked at on the host: leave them there, and"
                " HybridLlava uploads them"
            )
        if bool((input_ids == self.video_token_id).any()):
            raise ConfigError("videos are not supported, only images: take its frames as images")
        grids = self._grids(pixel_values, images.get("image_grid_thw"))
        mask, padded = mask_of(input_ids, attention_mask)
        is_image = input_ids == self.image_token_id
        numbers = images_in(runs_of(is_image), [high * wide for high, wide in grids])
        of_prompts = [[grids[number] for number in of_prompt] for of_prompt in numbers]
        found = images_of([[cells_of(*grid) for grid in of_prompt] for of_prompt in of_prompts])
        if pixel_values is None:
            pixel_values = torch.zeros(0, self.vision.patch_values)
        return arranged(
            input_ids,
            pixel_values.to(self.language.head.weight.dtype),
            mask,
            is_image,
            padded=padded,
            placeholders=found.placeholders,
            position_ids=position_ids_of(is_image, mask, of_prompts),
            images=found,
            tower=self.vision.pack(grids) if grids else None,
        )

    def _grids(self, pixel_values: Tensor | None, thw: Tensor | None) -> list[Grid]:
        """Tokens of each image, high and wide."""
        if pixel_values is None:
            return []
        if thw is None or thw.ndim != 2 or thw.shape[1] != 3:
            raise ConfigError(
                "pixel_values of this model come with image_grid_thw [I, 3], as its processor says"
            )
        rows, merge = thw.tolist(), self.vision.merge  # sync-ok: on the host
        for number, (time, high, wide) in enumerate(rows):
            if time != 1 or high % merge or wide % merge or not high * wide:
                raise ConfigError(
                    f"image {number} has {time} x {high} x {wide} patches: one frame, whose sides"
                    f" are multiples of {merge}, is what this model takes"
                )
        asked = sum(high * wide for _, high, wide in rows)
        if pixel_values.shape != (asked, self.vision.patch_values):
            raise ConfigError(
                f"pixel_values of shape {tuple(pixel_values.shape)}, and image_grid_thw asks for"
                f" {(asked, self.vision.patch_values)}"
            )
        return [(high // merge, wide // merge) for _, high, wide in rows]

    def look(self, inputs: Inputs) -> "Merged":
        if inputs.tower is None:
            return Merged(nothing(self.vision.model.config.out_hidden_size, inputs))
        return self.vision.look(inputs.pixel_values, inputs.tower)

    def alike(self, inputs: Inputs, looked: Any) -> list[Alike]:
        return [Alike(same.image, same.grid, looked.of(same)) for same in inputs.tower.alike]


class WindowedTower:
    """transformers' tower with windows and images as padded groups: no loop, and no wait.

    Args:
        tower: the model's own; its weights are used, not copied.
        remembers: whether `look` hands on what the last block that sees whole images attended by.
    """

    def __init__(self, tower: nn.Module, *, remembers: bool = False) -> None:
        self.remembers = remembers
        model: Any = tower
        settings = model.config
        self.model = model
        self.merge: int = settings.spatial_merge_size
        self.window: int = settings.window_size // settings.patch_size // self.merge  # in tokens
        self.patch_values: int = (
            settings.in_channels * settings.temporal_patch_size * settings.patch_size**2
        )
        self.whole = frozenset(settings.fullatt_block_indexes)

    def pack(self, grids: Sequence[Grid]) -> Packing:
        """Where the patches of images of these tokens, high and wide, stand; on the host."""
        merge, four = self.merge, self.merge**2
        windows: list[Tensor] = []  # of tokens
        token, places, begin = [], [], 0
        for high, wide in grids:
            number = begin + torch.arange(high * wide).view(high, wide)
            windows += [
                number[row : row + self.window, column : column + self.window].flatten()
                for row in range(0, high, self.window)
                for column in range(0, wide, self.window)
            ]
            token.append(number.flatten())
            row, column = torch.meshgrid(
                torch.arange(high * merge), torch.arange(wide * merge), indexing="ij"
            )
            place = torch.stack([row, column], dim=-1).view(high, merge, wide, merge, 2)
            places.append(place.transpose(1, 2).reshape(-1, 2))
            begin += high * wide
        order = torch.cat(windows)  # of tokens
        inside = torch.arange(four)
        patches = (order[:, None] * four + inside).flatten()
        where = order.argsort()  # of a token in raster order
        return Packing(
            order=patches,
            place=torch.cat(places)[patches],
            windows=_groups([len(window) * four for window in windows]),
            images=_groups([high * wide * four for high, wide in grids]),
            token=where[pad_sequence(token, batch_first=True)],
            valid=pad_sequence([torch.ones_like(each) for each in token], batch_first=True).bool(),
            alike=tuple(Same(_where(grids, same), same) for same in dict.fromkeys(grids)),
        )

    def look(self, pixel_values: Tensor, packing: Packing) -> "Merged":
        """pixel_values [M, values of a patch] -> [I, n] tokens in raster order."""
        return self.through(self.model.patch_embed(pixel_values), packing)

    def through(self, patches: Tensor, packing: Packing) -> "Merged":
        """The same of embedded patches [M, D]."""
        model = self.model
        hidden = patches[packing.order]
        cos, sin = model.rotary_pos_emb(hidden, packing.place)
        last: tuple[Tensor, Tensor] | None = None
        windows, whole = (
            (groups, None if groups.even else additive(groups.valid[:, None, None], hidden.dtype))
            for groups in (packing.windows, packing.images)
        )
        for number, block in enumerate(model.blocks):
            groups, mask = whole if number in self.whole else windows
            attention = block.attn
            normed = _normed(hidden, block.norm1)
            query, key, value = (
                attention.qkv(normed).view(len(hidden), 3, attention.num_heads, -1).unbind(dim=1)
            )
            query, key = apply_rotary_pos_emb_vision(query, key, cos, sin)  # [M, H, C]
            if self.remembers and number == max(self.whole):
                last = query, key
            query, key, value = (
                each[groups.member].transpose(1, 2) for each in (query, key, value)
            )  # [G, H, L, C]
            attended = scaled_dot_product_attention(
                query, key, value, attn_mask=mask, scale=attention.scaling
            )
            attended = attended.transpose(1, 2).flatten(0, 1)[groups.back].flatten(start_dim=1)
            hidden = hidden + attention.proj(attended)
            hidden = hidden + block.mlp(_normed(hidden, block.norm2))
        merged = model.merger(hidden)  # [M / 4, D of the language model]
        batch, slots = packing.valid.shape
        place = torch.arange(slots, device=hidden.device).expand(batch, -1)
        visual = VisualTokens(
            features=merged[packing.token],
            position=place.masked_fill(~packing.valid, 0),
            size=packing.valid.float(),
            valid=packing.valid,
            owner=place.masked_fill(~packing.valid, slots),
        )
        return Merged(visual, last, packing)


def _blocks(patches: Tensor) -> Tensor:
    """[M, ..] -> [M / 4, 4, ..], those that become one token."""
    return patches.reshape(-1, 4, *patches.shape[1:])


QUERIES = 256  # that attention is averaged over at a time, so that no [L, L] matrix exists


@dataclass(frozen=True)
class Merged:
    """What the tower gives, as `hybrid.vision.Looked`; in place of CLS stands what is received.

    Attributes:
        visual: [I, n].
        last: query and key [M, H, C] of the last block that sees whole images, if it remembers.
        packing: of the images; None if there are none.
    """

    visual: VisualTokens
    last: tuple[Tensor, Tensor] | None = None
    packing: Packing | None = None
    same: Same | None = None

    def of(self, same: Same) -> "Merged":
        """The images of one size alone, without padding."""
        tokens = same.grid[0] * same.grid[1]
        visual = self.visual
        part = VisualTokens(
            *(each[same.image, :tokens] for each in (visual.features, visual.position)),
            *(each[same.image, :tokens] for each in (visual.size, visual.valid, visual.owner)),
        )
        return replace(self, visual=part, same=same)

    def patch_keys(self) -> Tensor:
        """Of a merged token, the mean of its patches': [G, H, n, C]."""
        assert self.last is not None
        return self._by_token(_blocks(self.last[1]).mean(dim=1)).transpose(1, 2)

    def attention(self) -> Tensor:
        """What each token is given by all patches of its image, their mean: [G, H, n] float32 or
        wider, of a softmax over patches."""
        assert self.last is not None and self.packing is not None
        groups = self.packing.images
        query, key = (
            at_least_float32(each)[groups.member].transpose(1, 2) for each in self.last
        )  # [I, H, L, C]
        bias = additive(groups.valid[:, None, None], key.dtype)
        received = key.new_zeros(key.shape[:3])
        for begin in range(0, key.shape[2], QUERIES):
            some = query[:, :, begin : begin + QUERIES]
            rows = (some @ key.transpose(2, 3) / key.shape[-1] ** 0.5 + bias).softmax(dim=-1)
            asks = groups.valid[:, None, begin : begin + QUERIES, None]
            received = received + rows.masked_fill(~asks, 0.0).sum(dim=2)
        received = received / groups.valid.sum(dim=1)[:, None, None]
        patches = received.transpose(1, 2).flatten(0, 1)[groups.back]  # [M, H]
        return self._by_token(_blocks(patches).sum(dim=1)).transpose(1, 2)

    def beyond(self) -> tuple[Tensor, Tensor]:
        """The same of all heads, [G, n], and keys side by side, [G, n, D]: no block is behind."""
        return self.attention().mean(dim=1), self.patch_keys().transpose(1, 2).flatten(2)

    def _by_token(self, merged: Tensor) -> Tensor:
        """[M / 4, ..] -> [G, n, ..]."""
        assert self.packing is not None and self.same is not None
        tokens = self.same.grid[0] * self.same.grid[1]
        return merged[self.packing.token[self.same.image, :tokens]]


def _where(grids: Sequence[Grid], same: Grid) -> Tensor:
    """Which images are of that size."""
    return torch.tensor([i for i, grid in enumerate(grids) if grid == same])  # sync-ok: on the host


def _groups(lengths: Sequence[int]) -> Groups:
    """Runs of these lengths, one behind the other."""
    sizes = torch.tensor(lengths)[:, None]  # sync-ok: on the host
    begin = sizes.cumsum(dim=0) - sizes  # [G, 1]
    inside, longest = torch.arange(max(lengths)), max(lengths)
    valid = inside < sizes
    member = (begin + inside).masked_fill(~valid, 0)
    back = valid.flatten().nonzero()[:, 0]  # sync-ok: on the host
    return Groups(member, valid, back, even=min(lengths) == longest)


def _normed(hidden: Tensor, norm: Any) -> Tensor:
    return rms_norm(hidden, norm.weight.shape, norm.weight, norm.variance_epsilon)


def position_ids_of(is_image: Tensor, mask: Tensor, grids: Sequence[Sequence[Grid]]) -> Tensor:
    """Time, height and width of each token of left-padded prompts: [3, B, S], on the host.

    Args:
        is_image: [B, S] bool.
        mask: [B, S], 0 for padding, which stands at 0.
        grids: tokens of each image, high and wide, a list a prompt.
    """
    ids = torch.zeros(3, *is_image.shape, dtype=torch.long)
    for row, of_prompt in enumerate(grids):
        padding = is_image.shape[1] - int(mask[row].sum())
        parts = [torch.zeros(3, padding, dtype=torch.long)]
        there = is_image[row, padding:].tolist()  # sync-ok: on the host
        parts += _positions(there, of_prompt)
        ids[:, row] = torch.cat(parts, dim=1)
    return ids


def _positions(is_image: list[bool], grids: Sequence[Grid]) -> Iterator[Tensor]:
    """[3, n] for each run of text and each image of a prompt."""
    position, images = 0, iter(grids)
    for here, run in groupby(is_image):
        tokens = len([*run])
        if not here:
            yield (position + torch.arange(tokens)).expand(3, -1)
            position += tokens
        while here and tokens:
            high, wide = next(images)
            cells = cells_of(high, wide).T
            yield position + torch.cat([torch.zeros_like(cells[:1]), cells])
            position += max(high, wide)
            tokens -= high * wide
