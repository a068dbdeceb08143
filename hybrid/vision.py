"""The CLIP tower with DToMe merging in its blocks: pixels -> `VisualTokens`."""

from dataclasses import replace
from math import ceil, log2
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from hybrid.config import ConfigError
from hybrid.merging import Tokens, VisualTokens, in_raster_order, merge


class VisionTower:
    """Runs a transformers `CLIPVisionModel` block by block and merges between attention and MLP.

    Args:
        tower: the model's own tower; its weights are used, not copied.
        feature_layer: LLaVA's `vision_feature_layer`; -2 leaves the last block out.
        thresholds: one per block of the tower, or None for no merging.
        capacity: visual slots that are handed on.

    Raises:
        ConfigError: a feature layer that the tower does not have, or thresholds of another tower.
    """

    def __init__(
        self,
        tower: nn.Module,
        feature_layer: int,
        thresholds: tuple[float, ...] | None,
        capacity: int | None,
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
        if thresholds is not None and len(thresholds) != len(blocks):
            raise ConfigError(
                f"thresholds has {len(thresholds)} values, but this tower has {len(blocks)} CLIP "
                "blocks: give one per block (python -m hybrid.calibrate makes them)"
            )
        self.merges = thresholds is not None
        self.thresholds = thresholds or ()
        self.capacity = min(capacity or self.patches, self.patches)

    def __call__(self, pixel_values: Tensor) -> VisualTokens:
        """pixel_values [B, 3, H, W] -> visual tokens in N = `capacity` slots."""
        model = self.model
        hidden = model.pre_layrnorm(model.embeddings(pixel_values))
        tokens = Tokens.unmerged(hidden)  # [B, 1 + P, D]
        for i, block in enumerate(self.blocks):
            # Sizes are all 1 in front of block 0: the bias would be zero, so fused without it.
            bias = tokens.attention_bias() if self.merges and i > 0 else None
            attended, keys = _attention(block.self_attn, block.layer_norm1(tokens.features), bias)
            tokens = replace(tokens, features=tokens.features + attended)
            if self.merges:
                metric = keys.mean(dim=1)  # [B, T, C]
                tokens = merge(tokens, metric, self.threshold(i, tokens, metric))
            hidden = tokens.features
            tokens = replace(tokens, features=hidden + block.mlp(block.layer_norm2(hidden)))
        if self.capacity < self.patches:
            tokens = self._fit(tokens)
        return in_raster_order(tokens, self.capacity)

    def threshold(self, block: int, tokens: Tokens, metric: Tensor) -> float:
        """The similarity that merges in `block` must exceed; calibration finds it in the tokens."""
        return self.thresholds[block]

    def _fit(self, tokens: Tokens) -> Tokens:
        """Merge the most similar tokens below threshold until `capacity` and CLS are left.

        A step can at most halve the tokens, so their number of steps follows from the shapes.
        """
        for _ in range(ceil(log2(self.patches / self.capacity)) + 1):
            tokens = merge(tokens, tokens.features, float("inf"), self.capacity + 1)
        return tokens


def _attention(module: Any, hidden: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    """CLIP self-attention on hidden [B, T, D], fused; also its keys [B, H, T, C]."""
    batch, length, width = hidden.shape

    def heads(projected: Tensor) -> Tensor:
        return projected.view(batch, length, module.num_heads, -1).transpose(1, 2)

    query, key = heads(module.q_proj(hidden)), heads(module.k_proj(hidden))
    value = heads(module.v_proj(hidden))
    out = scaled_dot_product_attention(query, key, value, attn_mask=bias, scale=module.scale)
    out = out.transpose(1, 2).reshape(batch, length, width)
    projected: Tensor = module.out_proj(out)
    return projected, key


__all__ = ["VisionTower"]
