"""The oracle in a coarser dtype with another reading's decisions: what is left is rounding."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from unittest.mock import patch

import torch
from torch import Tensor

import hybrid.reference.oracle
from hybrid.reference import Oracle, Reading, Step, Token, merge_step


def replay(oracle: Oracle, ids: Sequence[int], pixels: Tensor, true: Reading) -> Reading:
    """Read [S] ids and pixels [3, H, W] in the oracle's dtype, but merge and keep as `true` does.

    In bfloat16 many images have a near-tie somewhere, and one merge that goes the other way makes
    another image of it: no longer a rounding error, and no measure of one.
    """
    with _merging_as(true.seen.steps):
        reading = oracle.read(ids, pixels)
    return replace(reading, kept=true.kept)


@contextmanager
def _merging_as(steps: Sequence[Step]) -> Iterator[None]:
    following = iter(steps)

    def step(
        tokens: Sequence[Token], keys: Tensor, threshold: float, capacity: int | None = None
    ) -> Step:
        """Keys that point the same way where a pair is to merge, and are at right angles else."""
        count, pairs = len(tokens), next(following).pairs
        directions = list(range(count))
        for even, odd in pairs:
            directions[even] = odd
        return merge_step(tokens, torch.eye(count).double()[directions], 0.5)

    with patch.object(hybrid.reference.oracle, "merge_step", step):
        yield


def rms(errors: list[Tensor]) -> float:
    """Root of the mean square over all of them; 0 where there are none."""
    return float(torch.cat(errors).square().mean().sqrt()) if errors else 0.0
