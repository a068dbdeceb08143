"""Images inside a page: no file beside it, and each image once however often it is shown."""

import base64
import hashlib
import io
from dataclasses import dataclass, field

from PIL import Image

WIDEST = 512  # pixels of an inlined image


@dataclass
class Gallery:
    """Images by name: (data URI, width, height)."""

    images: dict[str, tuple[str, int, int]] = field(default_factory=dict)

    def add(self, image: Image.Image) -> str:
        """The name under which the page shows `image`."""
        image = image.copy()
        image.thumbnail((WIDEST, WIDEST))
        out = io.BytesIO()
        image.save(out, "WEBP", quality=85)
        name = f"image-{hashlib.sha256(out.getvalue()).hexdigest()[:12]}"
        encoded = base64.b64encode(out.getvalue()).decode()
        self.images[name] = (f"data:image/webp;base64,{encoded}", image.width, image.height)
        return name
