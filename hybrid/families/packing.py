"""A tower that reads patches of images of any size in a row: transformers' own, without its loops.

What it has to know of sizes is found on the host, in `PackedTower.pack`, so that nothing waits
behind it: images, and windows where the tower has some, are groups padded to the longest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.nn.utils.rnn import pad_sequence
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import apply_rotary_pos_emb_vision

from hybrid.masks import additive
from hybrid.merging import VisualTokens, at_least_float32

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


class Taps(NamedTuple):
    """Which of a table's position embeddings a patch's is made of.

    Attributes:
        place: [M, 4] int64, in the table.
        weight: [M, 4] float32.
    """

    place: Tensor
    weight: Tensor


class Packing(NamedTuple):
    """M patches of I images in a row, each image's in blocks of those that become one token.

    Attributes:
        order: [M] int64, the patch that the blocks read here: windows one after the other.
        place: [M, 2] int64, each patch's row and column, in that order.
        windows: groups of that order; None where all blocks see whole images.
        images: the same for blocks that see the whole image.
        token: [I, n] int64, the merged token, in that order, of each place of an image in raster
            order; 0 past an image's own.
        valid: [I, n] bool.
        alike: images by their size.
        taps: of a tower that interpolates position embeddings.
    """

    order: Tensor
    place: Tensor
    windows: Groups | None
    images: Groups
    token: Tensor
    valid: Tensor
    alike: tuple[Same, ...]
    taps: Taps | None = None


class PackedTower:
    """transformers' tower with images as padded groups: no loop, and no wait.

    Args:
        tower: the model's own; its weights are used, not copied.
        remembers: whether `look` hands on what the last block that sees whole images attended by.

    Attributes:
        window: tokens a side that the other blocks see; None if all blocks see whole images.
        whole: blocks that see whole images.
        mergers: by block, what else than its end the features tell of.
        width: of the features, those of all mergers side by side, the end's first.
    """

    window: int | None = None

    def __init__(self, tower: nn.Module, *, remembers: bool = False) -> None:
        self.remembers = remembers
        model: Any = tower
        settings = model.config
        self.model = model
        self.merge: int = settings.spatial_merge_size
        self.patch_values: int = (
            settings.in_channels * settings.temporal_patch_size * settings.patch_size**2
        )
        self.whole = frozenset(range(len(model.blocks)))
        self.mergers: Mapping[int, Any] = {}
        self.own: int = settings.out_hidden_size

    @property
    def width(self) -> int:
        return self.own * (1 + len(self.mergers))

    def pack(self, grids: Sequence[Grid]) -> Packing:
        """Where the patches of images of these tokens, high and wide, stand; on the host."""
        merge, four = self.merge, self.merge**2
        windows: list[Tensor] = []  # of tokens
        token, places, begin = [], [], 0
        for high, wide in grids:
            number = begin + torch.arange(high * wide).view(high, wide)
            side = self.window or max(high, wide)
            windows += [
                number[row : row + side, column : column + side].flatten()
                for row in range(0, high, side)
                for column in range(0, wide, side)
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
            windows=_groups([len(window) * four for window in windows]) if self.window else None,
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
        merged = list[Tensor]()
        windows, whole = (
            (each, None if each.even else additive(each.valid[:, None, None], hidden.dtype))
            for each in (packing.windows or packing.images, packing.images)
        )
        for number, block in enumerate(model.blocks):
            groups, mask = whole if number in self.whole else windows
            attention = block.attn
            normed = self.normed(hidden, block.norm1)
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
            hidden = hidden + block.mlp(self.normed(hidden, block.norm2))
            if number in self.mergers:
                merged.append(self.mergers[number](hidden))
        features = model.merger(hidden)  # [M / 4, D of the language model]
        if merged:
            features = torch.cat([features, *merged], dim=1)
        batch, slots = packing.valid.shape
        place = torch.arange(slots, device=hidden.device).expand(batch, -1)
        visual = VisualTokens(
            features=features[packing.token],
            position=place.masked_fill(~packing.valid, 0),
            size=packing.valid.float(),
            valid=packing.valid,
            owner=place.masked_fill(~packing.valid, slots),
        )
        return Merged(visual, last, packing)

    def normed(self, hidden: Tensor, norm: Any) -> Tensor:
        """Hidden [M, D] behind a norm of a block."""
        normed: Tensor = norm(hidden)
        return normed


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
