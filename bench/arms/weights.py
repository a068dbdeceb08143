"""Where a model's weights come from; apart from `random_weights`, which imports torch."""

from enum import StrEnum


class Weights(StrEnum):
    """As on the command line."""

    CHECKPOINT = "checkpoint"
    RANDOM = "random"
