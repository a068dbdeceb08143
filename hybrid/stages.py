"""The places where a visual token can end, and what a stage is handed at each.

A method is one stage, or an object whose `stages(layers)` lists those for a language model of so
many layers. A stage is a small object with a rule in it: it sees tensors and never the model,
samples of a batch never see each other, and how many tokens it leaves is known to the host
beforehand.

    place      acts                                        gives
    image      on the pixels                               fewer of them, so that there are fewer
                                                           patches
    tower      in each CLIP block, between attention       tokens, in as many slots or fewer
               and MLP
    hand-over  between tower and projector                 which slots stay, or new features there
    language   in front of a layer                         a score for each slot; `pruning.keep_top`
                                                           keeps the best, for every method alike

Shapes: B samples, P patches, N visual slots, R tokens of the reduced prompt, D width, H heads of
width C, G key-value heads.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from hybrid.config import Keep
from hybrid.merging import Tokens, VisualTokens, rows
from hybrid.pruning import Kept
from hybrid.rope import Layout
from hybrid.state import Sequence as Prompt


@runtime_checkable
class ImageStage(Protocol):
    """Makes the image smaller in front of the tower, which turns its position embeddings with it.

    Each token stands for the patches of the whole image that its own patch covers.
    """

    def side_of(self, side: int) -> int:
        """Patches a side that the tower is given, of so many a side."""
        ...

    def smaller(self, pixels: Tensor, side: int) -> Tensor:
        """pixels [B, 3, H, W] -> the same image, `side` pixels high and wide."""
        ...


@runtime_checkable
class TowerStage(Protocol):
    """Merges inside the tower."""

    def fitted(self, patches: int, blocks: int, read: int) -> "TowerStage":
        """The same for a tower of so many patches and blocks, of which the first `read` are run.

        Raises ConfigError if it is not for such a tower.
        """
        ...

    def slots_of(self, patches: int) -> int:
        """N, how many visual slots are handed on."""
        ...

    def merge(self, block: int, tokens: Tokens, keys: Tensor) -> Tokens:
        """tokens behind the attention of `block`; keys [B, H, T, C] of that attention."""
        ...

    def finish(self, tokens: Tokens, patches: int) -> Tokens:
        """Behind the last block that is read: tokens of which all but CLS fit into N slots."""
        ...


@dataclass(frozen=True)
class Seen:
    """What the tower saw, for a hand-over stage: images of one size. What is not asked for is not
    computed. A tower without CLS gives in its place how much each patch is attended to on average.

    Attributes:
        visual: N slots in raster order; features [B, N, D] in front of the projector.
        grid: patches of the image, high and wide.
        attention: () -> [B, H, P] float32 or wider, what CLS gave each patch in the last block
            that is read, a softmax over CLS and patches.
        keys: () -> [B, H, P, C] of the same block.
        beyond: () -> of the block behind it, as one head: what CLS would give each patch [B, P], a
            softmax over CLS and patches, and their keys [B, P, D]; projects for it.
        project: features [B, n, D] -> the language model's width.
        seed: () -> [B] int64, a number for each prompt.
    """

    visual: VisualTokens
    grid: tuple[int, int]
    attention: Callable[[], Tensor]
    keys: Callable[[], Tensor]
    beyond: Callable[[], tuple[Tensor, Tensor]]
    project: Callable[[Tensor], Tensor]
    seed: Callable[[], Tensor]


class Choice(NamedTuple):
    """What is handed on, in ascending order of slot.

    Attributes:
        slot: [B, K] int64, of the slots that were seen; it gives the position.
        valid: [B, K] bool; False is padding, at the end.
        features: [B, K, D] in place of the slots' own, or None.
    """

    slot: Tensor
    valid: Tensor
    features: Tensor | None = None


def handed_over(visual: VisualTokens, choice: Choice) -> VisualTokens:
    """The K slots that were chosen of N. `owner` is K where a patch is in none of them."""
    slot, valid, features = choice
    if features is None:
        features = rows(visual.features, slot)
    batch, slots = visual.valid.shape
    budget = slot.shape[1]
    # Where each old slot went; in one column more stands where a patch that was in none goes.
    went = slot.new_full((batch, slots + 1), budget)
    new = torch.arange(budget, device=slot.device).expand_as(slot).masked_fill(~valid, budget)
    went = went.scatter(1, slot.masked_fill(~valid, slots), new)
    return VisualTokens(
        features=features,
        position=visual.position.gather(1, slot).masked_fill(~valid, 0),
        size=visual.size.gather(1, slot).masked_fill(~valid, 0.0),
        valid=valid,
        owner=went.gather(1, visual.owner),
        forced=visual.forced,
    )


def whole(slot: Tensor, features: Tensor | None = None) -> Choice:
    """A choice without padding: slot [B, K]."""
    return Choice(slot, torch.ones_like(slot, dtype=torch.bool), features)


def top(scores: Tensor, valid: Tensor, budget: int) -> Choice:
    """The `budget` best of N slots, the lower one among equals.

    Args:
        scores: [B, N] float32 or wider.
        valid: [B, N] bool.
        budget: K, N at most.
    """
    order = scores.masked_fill(~valid, float("-inf")).argsort(dim=1, descending=True, stable=True)
    slot = order[:, :budget].sort(dim=1).values
    return Choice(slot, valid.gather(1, slot))


@dataclass(frozen=True)
class HandOverStage(ABC):
    """Chooses, or merges, between tower and language model.

    Attributes:
        keep: how many slots are handed on.
        by_patch: whether slot and patch must be one, so that nothing may have merged or chosen
            before it.
        asks_tower: whether it asks for `Seen.attention`, `Seen.keys` or `Seen.beyond`, which are by
            patch.
    """

    keep: Keep
    by_patch: ClassVar[bool] = False
    asks_tower: ClassVar[bool] = False

    def slots_of(self, slots: int) -> int:
        """K, how many of N slots are handed on."""
        return self.keep.of(slots)

    def slots_in(self, grid: tuple[int, int]) -> int:
        """The same of an image's patches, high and wide, nothing of which is gone yet."""
        return self.slots_of(grid[0] * grid[1])

    @abstractmethod
    def choose(self, seen: Seen) -> Choice:
        """K slots of the N."""


class Standing(NamedTuple):
    """The visual slots in front of a layer.

    Attributes:
        place: [B, N] int64, where each stands in the prompt, rising.
        position: [B, N] int64, the placeholder that each stands for, 0 for the prompt's first: of
            one image, the patch.
        present: [B, N] bool, False where none stands any more.
    """

    place: Tensor
    position: Tensor
    present: Tensor

    @property
    def first(self) -> Tensor:
        """[B] int64, where they start in the prompt."""
        return self.place[:, 0]

    def behind(self, kept: Kept, place: Tensor | None) -> "Standing":
        """Those that are left: K slots at `place` [B, K], or the same N if the others are only
        hidden."""
        if place is not None:
            return Standing(place, self.position.gather(1, kept.slot), kept.valid)
        slots = self.present.shape[1]
        nowhere = self.present.new_zeros(len(self.present), slots + 1)
        chosen = nowhere.scatter(1, kept.slot.masked_fill(~kept.valid, slots), True)[:, :slots]
        return self._replace(present=self.present & chosen)


@dataclass(frozen=True)
class Read:
    """A prompt in front of the layer that sees fewer tokens, for a language stage.

    Attributes:
        hidden: [B, R, D], behind the layer above.
        query, key: [B, H, R, C] and [B, G, R, C] of the layer above, after RoPE.
        unrotated: () -> the same before RoPE; projects again.
        own: () -> query and key, after RoPE, that the layer itself would make; projects once more.
        normed: [B, n, D] -> the same behind the language model's final norm.
        scaling: of attention logits.
        valid: [B, R] bool, False for padding.
        standing: the N visual slots.
        count: () -> [B] int64, how many of its slots each sample keeps.
        cells: () -> [B, N, 2] int64, the row and column of each slot's patch in its image.
        seed: () -> [B] int64, a number for each prompt.
        begun: () -> the prompt in front of layer 0, and where its image stands; laid out again.
    """

    hidden: Tensor
    query: Tensor
    key: Tensor
    unrotated: Callable[[], tuple[Tensor, Tensor]]
    own: Callable[[], tuple[Tensor, Tensor]]
    normed: Callable[[Tensor], Tensor]
    scaling: float
    valid: Tensor
    standing: Standing
    count: Callable[[], Tensor]
    cells: Callable[[], Tensor]
    seed: Callable[[], Tensor]
    begun: Callable[[], tuple[Prompt, Layout]]

    def of_image(self, rows: Tensor) -> Tensor:
        """The slots' rows of [B, R, ..]: [B, N, ..]."""
        places = self.standing.place
        index = places.reshape(*places.shape, *(1,) * (rows.ndim - 2))
        return rows.gather(1, index.expand(*places.shape, *rows.shape[2:]))


@runtime_checkable
class LanguageStage(Protocol):
    """Ranks in front of a layer of the language model.

    Attributes:
        layer: the first that sees only what stays, from 1.
        keep: how many stay.
    """

    @property
    def layer(self) -> int: ...
    @property
    def keep(self) -> Keep: ...

    def scores(self, read: Read) -> Tensor:
        """[B, N] float32 or wider, the higher the better; what is not `present` counts for none."""
        ...


Stage = ImageStage | TowerStage | HandOverStage | LanguageStage


@runtime_checkable
class Staged(Protocol):
    """A method of several stages."""

    def stages(self, layers: int) -> Sequence[Stage]:
        """Those for a language model of so many layers, in the order in which they act."""
        ...
