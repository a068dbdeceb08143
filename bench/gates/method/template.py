"""A new method's file, in order as it is and to be changed."""

import keyword
import re
from pathlib import Path

from bench.base.errors import UserError

HEAD = '''"""{name}: one sentence that says which tokens stay.

The paper's link, and what differs from its code.
"""

'''
IMPORTS = """from dataclasses import dataclass

from torch import Tensor

"""
TEMPLATES = {
    "tower": HEAD
    + '''from dataclasses import dataclass, replace

from torch import Tensor

from hybrid import ConfigError, Keep
from hybrid.merging import Tokens, merge


@dataclass(frozen=True)
class {name}:
    """keep: tokens that are handed on. sizes: how many are left behind each block of the tower."""

    keep: Keep
    sizes: tuple[int, ...] = ()

    def fitted(self, patches: int, blocks: int, read: int) -> "{name}":
        """For a tower that runs `read` of its blocks: here, the first ones halve what there is."""
        left, sizes = patches, list[int]()
        for _ in range(read):
            left = max(self.keep.of(patches), left - left // 2)
            sizes.append(left)
        if left > self.keep.of(patches):
            raise ConfigError(f"keep={{self.keep}}: {{read}} blocks leave at least {{left}} tokens")
        return replace(self, sizes=tuple(sizes))

    def slots_of(self, patches: int) -> int:
        """How many tokens are handed on, the same for every image."""
        return self.sizes[-1] if self.sizes else patches

    def merge(self, block: int, tokens: Tokens, keys: Tensor) -> Tokens:
        """Which tokens merge behind the attention of `block`: here, those with the nearest keys."""
        left = 1 + self.sizes[block]  # CLS in slot 0 stays
        if left == tokens.size.shape[1]:
            return tokens
        return merge(tokens, keys.mean(dim=1), float("inf"), left).first(left)

    def finish(self, tokens: Tokens, patches: int) -> Tokens:
        """What is left to do behind the last block: here, nothing."""
        return tokens
''',
    "language": HEAD
    + IMPORTS
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
    + IMPORTS
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
