"""A checkpoint's CLIP tower without its language model, and its pixels of image files."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from transformers import AutoConfig, LlavaProcessor

from hybrid.checkpoint import load_model
from hybrid.config import ConfigError
from hybrid.families.llava import Llava


@dataclass(frozen=True)
class TowerSource:
    """The CLIP tower of a LLaVA-1.5 checkpoint, and how the checkpoint makes pixels of images.

    Attributes:
        tower: transformers' `CLIPVisionModel`.
        feature_layer: LLaVA's `vision_feature_layer`.
        processor: the checkpoint's own image processor.
        side: height and width of the pixels that the tower takes.
        fingerprint: sha256 over the weights as they are stored.
    """

    tower: nn.Module
    feature_layer: int
    processor: Any
    side: int
    fingerprint: str

    @classmethod
    def load(cls, checkpoint: str, dtype: torch.dtype, device: str) -> "TowerSource":
        """Load a folder or hub id; the language model's layers stay on disk.

        Raises:
            ConfigError: if that is no LLaVA-1.5, is damaged, or the device is missing.
        """
        try:
            config: Any = AutoConfig.from_pretrained(checkpoint)
            Llava.check(config)
            config.text_config.num_hidden_layers = 0
            llava: Any = load_model(checkpoint, "auto", config)
            tower = llava.model.vision_tower
            digest = hashlib.sha256()
            for weight in tower.parameters():
                digest.update(weight.detach().contiguous().view(torch.uint8).numpy().tobytes())
            tower.to(device=device, dtype=dtype)
            # As where answers are judged; torchvision's, if it is installed, resizes otherwise.
            processor: Any = LlavaProcessor.from_pretrained(checkpoint, backend="pil")
        except ConfigError:
            raise
        except Exception as error:  # each library has its own, for damage and for a missing device
            reason = str(error).strip().partition("\n")[0]
            raise ConfigError(f"cannot load {checkpoint} on {device}: {reason}") from error
        layer, side = config.vision_feature_layer, config.vision_config.image_size
        return cls(tower, layer, processor.image_processor, side, f"sha256:{digest.hexdigest()}")

    @property
    def weight(self) -> Tensor:
        """One of the weights, for their dtype and device."""
        return next(self.tower.parameters())

    def pixels(self, paths: Sequence[Path]) -> Tensor:
        """[B, 3, side, side] of image files, in the tower's dtype and on its device.

        Raises:
            ConfigError: naming the first file that is no image, or has a size of its own.
        """
        with ThreadPoolExecutor() as pool:
            return torch.stack(list(pool.map(self._read, paths))).to(self.weight)

    def _read(self, path: Path) -> Tensor:
        try:
            with Image.open(path) as image:
                rgb = image.convert("RGB")
        except Exception as error:  # Pillow's decoders raise a dozen types on damaged data
            raise ConfigError(
                f"{path} is not a readable image: repair or remove it, then run the same command"
            ) from error
        pixels: Tensor = self.processor(images=rgb, return_tensors="pt")["pixel_values"][0]
        wanted = (3, self.side, self.side)
        if pixels.shape != wanted:
            raise ConfigError(
                f"{path} becomes {tuple(pixels.shape)} pixels in this checkpoint's processor, and "
                f"the tower takes {wanted}: give images of that size"
            )
        return pixels


def find_images(folder: Path) -> list[Path]:
    """The .jpg, .jpeg and .png files of a folder, by name.

    Raises:
        ConfigError: if there are none, or no such folder.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder} is not a folder: give one that holds .jpg or .png images")
    suffixes = (".jpg", ".jpeg", ".png")
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in suffixes)
    if not found:
        raise ConfigError(f"{folder} holds no .jpg or .png images")
    return found
