"""The CLIP tower, in whose blocks a stage may merge: pixels -> `VisualTokens`."""

from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from hybrid.config import ConfigError
from hybrid.merging import Tokens, VisualTokens, at_least_float32, in_raster_order
from hybrid.stages import ImageStage, TowerStage


class VisionTower:
    """Runs a transformers `CLIPVisionModel` block by block and merges between attention and MLP.

    Args:
        tower: the model's own tower; its weights are used, not copied.
        feature_layer: LLaVA's `vision_feature_layer`; -2 leaves the last block out.
        stage: what merges, or None.
        image: what makes the image smaller beforehand, or None.
        remembers: whether `look` hands on what the last block attended by and gave.

    Raises:
        ConfigError: a feature layer that the tower does not have, or a stage of another tower.
    """

    def __init__(
        self,
        tower: nn.Module,
        feature_layer: int,
        stage: TowerStage | None = None,
        *,
        image: ImageStage | None = None,
        remembers: bool = False,
    ) -> None:
        model: Any = tower
        blocks = model.encoder.layers
        self.model = model
        self.patches: int = model.embeddings.num_patches
        self.side: int = model.config.image_size  # of the pixels, height and width
        # Feature layer -1 is the output of the last block, 0 is the input of the first.
        used = feature_layer if feature_layer >= 0 else len(blocks) + 1 + feature_layer
        if not 0 <= used <= len(blocks):
            raise ConfigError(
                f"vision_feature_layer={feature_layer} is not one of a tower of {len(blocks)} "
                f"blocks: {-len(blocks) - 1} to {len(blocks)}"
            )
        self.blocks = blocks[:used]
        self.unread = blocks[used:]
        self.remembers = remembers
        self.image = image
        across = self.side // model.config.patch_size
        self.grid = across, across
        self.across = image.side_of(across) if image else across  # patches a side that are read
        read = self.across**2
        self.stage = stage and stage.fitted(read, len(blocks), used)
        self.slots = self.stage.slots_of(read) if self.stage else read  # N

    def __call__(self, pixel_values: Tensor) -> VisualTokens:
        """pixel_values [B, 3, H, W] -> visual tokens in as many slots as the stage leaves, N."""
        return self.look(pixel_values).visual

    def look(self, pixel_values: Tensor) -> "Looked":
        """The same, and what the last block that is read attended by."""
        tokens = self._embedded(pixel_values)  # [B, 1 + P, D]
        stage, last = self.stage, None
        for i, block in enumerate(self.blocks):
            # Sizes are all 1 in front of block 0: the bias would be zero, so fused without it.
            bias = tokens.attention_bias() if stage and i > 0 else None
            attended, query, keys = _attention(
                block.self_attn, block.layer_norm1(tokens.features), bias
            )
            if self.remembers:
                last = query, keys
            del query  # not a byte longer than it is needed
            tokens = replace(tokens, features=tokens.features + attended)
            if stage:
                tokens = stage.merge(i, tokens, keys)
            hidden = tokens.features
            tokens = replace(tokens, features=hidden + block.mlp(block.layer_norm2(hidden)))
        if stage:
            tokens = stage.finish(tokens, self.across**2)
        visual = in_raster_order(tokens, self.slots)
        if not self.remembers:
            return Looked(visual, last)
        return Looked(visual, last, tokens.features, next(iter(self.unread), None))

    def _embedded(self, pixel_values: Tensor) -> Tokens:
        """A token a patch, or one for all patches that stand where a smaller image's one does."""
        model, wide, across = self.model, self.grid[1], self.across
        if self.image is None or across == wide:
            return Tokens.unmerged(model.pre_layrnorm(model.embeddings(pixel_values)))
        small = self.image.smaller(pixel_values, across * model.config.patch_size)
        hidden = model.embeddings(small, interpolate_pos_encoding=True)
        tokens = Tokens.unmerged(model.pre_layrnorm(hidden))
        place = torch.arange(wide, device=hidden.device) * across // wide
        owner = 1 + place[:, None] * across + place  # behind CLS
        return replace(tokens, owner=owner.flatten().expand(len(hidden), -1))


class Looked(NamedTuple):
    """What the tower gives.

    Attributes:
        visual: in N slots.
        last: query and keys [B, H, 1 + P, C] of the last block that is read, if the tower
            remembers; and so with the others.
        hidden: [B, 1 + P, D], what that block gave.
        unread: the block behind it, None if there is none.
    """

    visual: VisualTokens
    last: tuple[Tensor, Tensor] | None = None
    hidden: Tensor | None = None
    unread: Any = None

    def patch_keys(self) -> Tensor:
        """[B, H, P, C]."""
        assert self.last is not None
        return self.last[1][:, :, 1:]

    def attention(self) -> Tensor:
        """What CLS gave each patch there: [B, H, P] float32 or wider, of a softmax over all."""
        assert self.last is not None
        query, keys = (at_least_float32(each) for each in self.last)
        query = query[:, :, :1]
        logits = query @ keys.transpose(2, 3) / keys.shape[-1] ** 0.5  # [B, H, 1, 1 + P]
        row: Tensor = logits.softmax(dim=-1)[:, :, 0, 1:]
        return row

    def beyond(self) -> tuple[Tensor, Tensor]:
        """What CLS would give each patch in the block behind, as one head: [B, P] float32 or wider,
        and the patches' keys [B, P, D].

        Raises:
            ConfigError: the last block is read, so there is none behind it.
        """
        if self.unread is None:
            raise ConfigError(
                "this method ranks by the CLIP block behind the one that is read, and"
                " vision_feature_layer reads the last one: use another method"
            )
        normed = self.unread.layer_norm1(self.hidden)
        attention = self.unread.self_attn
        query = at_least_float32(attention.q_proj(normed[:, :1]))
        keys = at_least_float32(attention.k_proj(normed))
        logits = query @ keys.transpose(1, 2) / keys.shape[2] ** 0.5  # [B, 1, 1 + P]
        return logits.softmax(dim=2)[:, 0, 1:], keys[:, 1:]


def _attention(module: Any, hidden: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """CLIP self-attention on hidden [B, T, D], fused; also its query and keys [B, H, T, C]."""
    batch, length, width = hidden.shape

    def heads(projected: Tensor) -> Tensor:
        return projected.view(batch, length, module.num_heads, -1).transpose(1, 2)

    query, key = heads(module.q_proj(hidden)), heads(module.k_proj(hidden))
    value = heads(module.v_proj(hidden))
    out = scaled_dot_product_attention(query, key, value, attn_mask=bias, scale=module.scale)
    out = out.transpose(1, 2).reshape(batch, length, width)
    projected: Tensor = module.out_proj(out)
    return projected, query, key


__all__ = ["VisionTower"]
