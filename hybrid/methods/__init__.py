"""Reduction methods, a file each, and the list of stages that a configuration stands for."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from hybrid.config import ConfigError, HybridConfig, Keep
from hybrid.methods.controls import Grid, Lowest, Pool, Random
from hybrid.methods.dart import Dart
from hybrid.methods.divprune import DivPrune
from hybrid.methods.downsample import Downsample
from hybrid.methods.dtome import DToMe
from hybrid.methods.fastv import FastV
from hybrid.methods.feather import Feather
from hybrid.methods.prumerge import PruMerge
from hybrid.methods.pyramiddrop import PyramidDrop
from hybrid.methods.sparsevlm import SparseVLM
from hybrid.methods.tome import ToMe
from hybrid.methods.visionzip import VisionZip
from hybrid.stages import HandOverStage, ImageStage, LanguageStage, Staged, TowerStage


@dataclass(frozen=True)
class Stages:
    """By place: one on the image and one in the tower at most, then in the order in which they
    act."""

    image: ImageStage | None
    tower: TowerStage | None
    hand_over: tuple[HandOverStage, ...]
    language: tuple[LanguageStage, ...]


METHODS: dict[str, Callable[[Keep], object]] = {
    "tome": ToMe,
    "visionzip": VisionZip,
    "divprune": DivPrune,
    "prumerge-plus": PruMerge,
    "sparsevlm": SparseVLM,
    "pyramiddrop": PyramidDrop,
    "dart": Dart,
    "feather": Feather,
    "random-tokens": Random,
    "lowest-tokens": Lowest,
    "grid": Grid,
    "pool": Pool,
    "downsample": Downsample,
}
"""By name: what `HybridConfig(method=...)` takes, made of a budget."""


def stages_of(config: HybridConfig, layers: int = 32) -> Stages:
    """What `config` means for a language model of so many layers.

    Raises:
        ConfigError: for an object that is no stage, and for stages that do not go together.
    """
    listed: list[object] = []
    for method in config.method:
        listed += method.stages(layers) if isinstance(method, Staged) else [method]
    if config.thresholds is not None:
        listed.append(DToMe(config.thresholds, config.capacity, config.schedule))
    if config.budget.prunes:
        listed.append(FastV(config.budget, config.aggregation_layer + 1, config.rank))
    image = [stage for stage in listed if isinstance(stage, ImageStage)]
    tower = [stage for stage in listed if isinstance(stage, TowerStage)]
    hand_over = [stage for stage in listed if isinstance(stage, HandOverStage)]
    language = [stage for stage in listed if isinstance(stage, LanguageStage)]
    for stage in listed:
        if [stage in place for place in (image, tower, hand_over, language)].count(True) != 1:
            raise ConfigError(
                f"{type(stage).__name__} is a stage of none of the places, or of several: it needs"
                " what ImageStage, TowerStage, HandOverStage or LanguageStage of hybrid.stages name"
            )
    if len(image) > 1:
        raise ConfigError(f"{len(image)} stages make the image smaller: there is room for one")
    if len(tower) > 1:
        raise ConfigError(f"{len(tower)} stages merge in the tower: there is room for one")
    for before, stage in pairwise([*image, *tower, *hand_over]):
        if isinstance(stage, HandOverStage) and stage.by_patch:
            raise ConfigError(
                f"{type(stage).__name__} needs each patch in a slot of its own, behind"
                f" {type(before).__name__} there are fewer: use one of them"
            )
    order = [stage.layer for stage in language]
    if any(low >= high for low, high in pairwise(order)) or 0 in order:
        raise ConfigError(f"language stages act in front of {order}: give rising layers from 1")
    return Stages(
        image=image[0] if image else None,
        tower=tower[0] if tower else None,
        hand_over=tuple(hand_over),
        language=tuple(language),
    )
