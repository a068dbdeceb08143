"""Qwen2.5-VL: a tower of windows.

https://arxiv.org/abs/2502.13923; transformers' `Qwen2_5_VLForConditionalGeneration`.
"""

from typing import Any

from torch import Tensor, nn
from torch.nn.functional import rms_norm
from transformers import Qwen2_5_VLForConditionalGeneration

from hybrid.config import ConfigError
from hybrid.families.packing import PackedTower
from hybrid.families.qwen_vl import QwenVL


class WindowedTower(PackedTower):
    """Most of its blocks see one window of an image."""

    def __init__(self, tower: nn.Module, *, remembers: bool = False) -> None:
        super().__init__(tower, remembers=remembers)
        settings = self.model.config
        self.window = settings.window_size // settings.patch_size // self.merge
        self.whole = frozenset(settings.fullatt_block_indexes)

    def normed(self, hidden: Tensor, norm: Any) -> Tensor:
        return rms_norm(hidden, norm.weight.shape, norm.weight, norm.variance_epsilon)


class Qwen2_5VL(QwenVL):
    """Qwen2.5-VL."""

    model_type = "qwen2_5_vl"
    name = "Qwen2.5-VL"
    model_class = Qwen2_5_VLForConditionalGeneration
    tower_class = WindowedTower

    @classmethod
    def check(cls, settings: Any) -> None:
        if settings.text_config.use_sliding_window:
            raise ConfigError(f"use_sliding_window is not supported in {cls.name}: set it to false")
