"""A new method's file, in order as it is and to be changed."""

import keyword
import re
from pathlib import Path

from bench.base.errors import UserError

HEAD = '''"""{name}: one sentence that says which tokens stay.

The paper's link, and what differs from its code.
"""

from dataclasses import dataclass

from torch import Tensor

'''
TEMPLATES = {
    "language": HEAD
    + '''from hybrid import Keep
from hybrid.stages import Read


@dataclass(frozen=True)
class {name}:
    """keep: tokens that stay."""

    keep: Keep
    layer: int = 2  # the first that sees only these

    def scores(self, read: Read) -> Tensor:
        """[B, N], the higher the better: here, how large a patch's key is."""
        keys = read.key.norm(dim=-1).mean(dim=1)  # [B, R] of [B, heads, R, width]
        return read.of_image(keys).float()
''',
    "hand-over": HEAD
    + '''from hybrid.stages import Choice, HandOverStage, Seen, top


@dataclass(frozen=True)
class {name}(HandOverStage):
    """keep: tokens that are handed on."""

    def choose(self, seen: Seen) -> Choice:
        """Slots that stay, of N: here, those with the largest features."""
        visual = seen.visual
        return top(self.scores(visual.features), visual.valid, self.slots_of(visual.valid.shape[1]))

    def scores(self, features: Tensor) -> Tensor:
        """[B, N] of features [B, N, D], the higher the better."""
        return features.float().norm(dim=-1)
''',
}


def new_method(name: str, place: str, folder: Path = Path()) -> Path:
    """Write the file of a new class `name`, called like it in small letters.

    Raises:
        UserError: a name that no class can have, or a file that is there already.
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,39}", name) or keyword.iskeyword(name):
        raise UserError(f"{name!r} can't be a method's name: give a class's, such as LargestKeys")
    path = folder / f"{re.sub(r'(?<=[a-z0-9])(?=[A-Z])', '_', name).lower()}.py"
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(TEMPLATES[place].format(name=name))
    except FileExistsError:
        raise UserError(f"{path} is there already: choose another name") from None
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror}; go to a folder of yours"
        ) from error
    return path
