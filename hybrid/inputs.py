"""A batch on its way to the device: everything that needs a look at values is checked here."""

from dataclasses import dataclass

import torch
from torch import Tensor

from hybrid.config import ConfigError


@dataclass(frozen=True)
class Inputs:
    """A checked batch on the device.

    Attributes:
        input_ids: [B, S] int64.
        pixel_values: [B, 3, H, W].
        attention_mask: [B, S] int64.
        padded: False only if it is known that no row has padding.
    """

    input_ids: Tensor
    pixel_values: Tensor
    attention_mask: Tensor
    padded: bool

    @property
    def batch(self) -> int:
        """Samples in the batch."""
        return self.input_ids.shape[0]


def place(
    input_ids: Tensor,
    pixel_values: Tensor,
    attention_mask: Tensor | None,
    *,
    image_token_id: int,
    patches: int,
    side: int,
    device: torch.device,
) -> Inputs:
    """Check a batch on the host and copy it to `device` without waiting.

    A batch that already is on an accelerator is checked by its shapes alone, because looking at
    its values would make the host wait.

    Raises:
        ConfigError: naming the size of pixels that is not `side`, or the row that does not hold
            exactly one image with text behind it, or is padded on the right.
    """
    shape = tuple(pixel_values.shape)
    if len(shape) != 4 or shape[1:] != (3, side, side):
        raise ConfigError(
            f"pixel_values of shape {shape}, and this model takes [B, 3, {side}, {side}]: resize"
            f" the images to {side} x {side}, as a processor with do_resize and do_center_crop does"
        )
    if pixel_values.shape[0] != input_ids.shape[0]:
        raise ConfigError(
            f"{input_ids.shape[0]} prompts but {pixel_values.shape[0]} images: "
            "each prompt needs exactly one image"
        )
    padded = True
    if attention_mask is None:
        attention_mask = torch.ones_like(input_ids)
        padded = False
    if input_ids.device.type == "cpu":
        _check_images(input_ids == image_token_id, patches)
        _check_padding(attention_mask)
        padded = not bool(attention_mask.all())

    def upload(tensor: Tensor) -> Tensor:
        if device.type == "cuda" and tensor.device.type == "cpu":
            tensor = tensor.pin_memory()  # a copy from pageable memory would make the host wait
        return tensor.to(device, non_blocking=True)

    return Inputs(upload(input_ids), upload(pixel_values), upload(attention_mask), padded)


def _check_images(is_image: Tensor, patches: int) -> None:
    counts = is_image.sum(dim=1).tolist()  # sync-ok: still on the host
    starts = is_image.int().argmax(dim=1).tolist()  # sync-ok: still on the host
    for row, (count, start) in enumerate(zip(counts, starts, strict=True)):
        if count != patches or not bool(is_image[row, start : start + patches].all()):
            raise ConfigError(
                f"prompt {row} holds {count} image placeholders in a row of {patches}: "
                "each prompt needs exactly one image"
            )
        if start + patches == is_image.shape[1]:
            raise ConfigError(
                f"prompt {row} ends with its image: text must follow, "
                "since its last token ranks the visual ones"
            )


def _check_padding(attention_mask: Tensor) -> None:
    if bool((attention_mask[:, 1:] < attention_mask[:, :-1]).any()):
        row = int((attention_mask[:, 1:] < attention_mask[:, :-1]).any(dim=1).int().argmax())
        raise ConfigError(
            f"prompt {row} is padded on the right: set processor.tokenizer.padding_side = 'left'"
        )
    if not bool(attention_mask[:, -1].all()):
        raise ConfigError("a prompt is empty: its attention_mask is all 0")
