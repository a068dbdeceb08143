"""Images must come out of the processor at a size that the model takes.

Most processors of LLaVA-1.5 resize and crop; one that does neither, as the tiny checkpoint's, hands
on what it gets. Images of other sizes then end in numpy, or count too few placeholders. Families
that take images of any size resize each to what they take.
"""

from collections.abc import Iterable
from functools import cache
from typing import Any

from PIL import Image

from bench.base.errors import UserError
from bench.tasks import Task

Size = tuple[int, int]  # width and height
MOST = 200  # times its shorter side an image may be long, as transformers' Qwen2-VL has it


class ImageSizes:
    """What the processor makes of images, by their size.

    Args:
        processor: a `LlavaProcessor`, of a model whose images all have one size.
        side: of the square that the model takes, in pixels.
        square: whether images are padded to squares before.
    """

    mend = (
        "resize the images of the data, or set do_resize and do_center_crop in the checkpoint's"
        " processor_config.json"
    )

    def __init__(self, processor: Any, side: int, *, square: bool) -> None:
        self.processor, self.side, self.square = processor.image_processor, side, square
        self.handed_on = cache(self._handed_on)

    def fits(self, size: Size) -> bool:
        """Whether an image of `size` reaches the model at its own."""
        return self.handed_on(size) == (self.side, self.side)

    def demand(self, tasks: Iterable[Task]) -> None:
        """Raises UserError naming the first row whose image has another size; or is damaged."""
        for task in tasks:
            for sample in task.samples:
                size = sample.image().size
                if not self.fits(size):
                    raise UserError(
                        f"{task.name}: row with index {sample.index}: image is"
                        f" {said(size)} pixels, {self.told(size)}: {self.mend}"
                    )

    def told(self, size: Size) -> str:
        """What is wrong with it."""
        made, side = self.handed_on(size), (self.side, self.side)
        which = "leaves it so" if made == size else f"makes it {said(made)}"
        return f"and this model takes {said(side)}; its processor {which}"

    def _handed_on(self, size: Size) -> Size:
        crop = self.processor.crop_size
        if self.processor.do_center_crop and crop:  # smaller ones are padded to it
            return crop["width"], crop["height"]
        if self.square:
            size = (max(size), max(size))
        pixels = self.processor(images=Image.new("RGB", size), return_tensors="np")["pixel_values"]
        height, width = pixels.shape[-2:]
        return width, height


class AnySizes(ImageSizes):
    """What the processor of a family does with images, which takes them of any size but a few."""

    mend = "cut the images of the data"

    def __init__(self) -> None:
        pass

    def fits(self, size: Size) -> bool:
        """Whether neither side is too long for the other."""
        return max(size) <= MOST * min(size)

    def told(self, size: Size) -> str:
        """What is wrong with it."""
        return f"one side more than {MOST} times the other, which no processor takes"


def said(size: Size) -> str:
    """A size in words."""
    return f"{size[0]} x {size[1]}"
