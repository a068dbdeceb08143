"""The thresholds themselves: each block's merges, ranked over a whole batch, and their mean."""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from math import ceil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from hybrid.calibrate.towers import TowerSource
from hybrid.config import ConfigError
from hybrid.merging import Tokens, bipartite_soft_matching, merge, spread
from hybrid.vision import VisionTower

RULE = 3  # of merging and ranking; another one gives other thresholds


class Ranking:
    """A tower stage whose thresholds are found on the way: each block merges the most similar pairs
    of the whole batch.

    Args:
        patches: of an image.
        blocks: of the tower.
        target: tokens that are left of an image on average, behind the last block.

    Attributes:
        merges_per_block: of an image, on average.
        found: after a call, the similarity of each block's first unmerged pair, at least 0.

    Raises:
        ConfigError: for a target out of reach: a block can merge half of its tokens at most.
    """

    def __init__(self, patches: int, blocks: int, target: int) -> None:
        self.merges_per_block = spread(patches - target, blocks)
        self.found = [0.0] * blocks
        # The last block meets target + r tokens and merges r of them, which half must suffice for.
        lowest = ceil(patches / (blocks + 1))
        if not lowest <= target < patches:
            raise ConfigError(
                f"--target {target} must be from {lowest} to {patches - 1}: this tower has "
                f"{patches} patches and {blocks} blocks, each of which at most halves them"
            )

    def fitted(self, patches: int, blocks: int, read: int) -> "Ranking":
        return self

    def slots_of(self, patches: int) -> int:
        return patches

    def merge(self, block: int, tokens: Tokens, keys: Tensor) -> Tokens:
        metric = keys.mean(dim=1)
        merges = self.merges_per_block[block] * len(metric)
        similarity, _ = bipartite_soft_matching(metric, tokens.size > 0)
        first = first_unmerged(similarity, merges)  # it stays apart, the ones before it merge
        self.found[block] = max(0.0, first)
        return merge(tokens, metric, first)

    def finish(self, tokens: Tokens, patches: int) -> Tokens:
        return tokens


class RankingTower(VisionTower):
    """All blocks of a tower, merging so; target as in `Ranking`."""

    def __init__(self, tower: nn.Module, target: int) -> None:
        model: Any = tower
        patches, blocks = model.embeddings.num_patches, len(model.encoder.layers)
        self.ranking = Ranking(patches, blocks, target)
        super().__init__(tower, -1, self.ranking)


def first_unmerged(similarity: Tensor, merges: int) -> float:
    """The similarity that follows the `merges` highest of [B, E]; -inf marks what cannot merge.

    1 if nothing is to merge, and -inf if all that can merge does: a batch of lopsided images may
    have too few pairs left. Pairs of exactly the returned similarity stay apart, as they do once it
    is the threshold.
    """
    ranked = similarity[similarity.isfinite()].sort(descending=True).values
    if not len(ranked):
        raise ConfigError("no two tokens of a batch can be compared: try --dtype float32")
    if merges == 0:
        return 1.0
    return float(ranked[merges]) if merges < len(ranked) else float("-inf")


@torch.inference_mode()
def calibrate(
    source: TowerSource, images: Sequence[Path], target: int, batch_size: int, state: Path
) -> list[float]:
    """One threshold a block; `state` is rewritten behind each batch, and continued if it exists.

    A short last batch counts in the mean for what it holds.

    Raises:
        ConfigError: for an image that cannot be read, or a `state` of another configuration.
    """
    tower = RankingTower(source.tower, target)
    ranking = tower.ranking
    identity = {
        "rule": RULE,
        "tower": source.fingerprint,
        "target": target,
        "batch size": batch_size,
        "dtype": str(source.weight.dtype),
        "device": source.weight.device.type,
    }
    done, mean = _resume(state, identity, images) if state.is_file() else (0, ranking.found)
    names = _names(images[:done])
    for batch in batches(images, batch_size, "calibrate", done):
        tower(source.pixels(batch))
        names, done = _names(batch, names), done + len(batch)
        share = len(batch) / done
        mean = [m + (t - m) * share for m, t in zip(mean, ranking.found, strict=True)]
        write_json(state, {**identity, "image list": names, "done": done, "mean": mean})
    return mean


def batches(images: Sequence[Path], size: int, title: str, done: int) -> Iterator[Sequence[Path]]:
    """The batches behind `done`; on a terminal, a bar that moves when one is worked off."""
    with tqdm(total=len(images), initial=done, desc=title, unit=" images", disable=None) as bar:
        for start in range(done, len(images), size):
            yield images[start : start + size]
            bar.update(min(size, len(images) - start))


def _resume(state: Path, run: dict[str, Any], images: Sequence[Path]) -> tuple[int, list[float]]:
    """How many images are done, and the thresholds until there."""
    remedy = "delete it to start anew, or choose another --output"
    try:
        before = json.loads(state.read_text(encoding="utf-8"))
        done, mean = int(before["done"]), [float(t) for t in before["mean"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{state} is damaged: {remedy}") from error
    # Images behind the ones that are done may change: a damaged one can be repaired or removed.
    for key, value in {**run, "image list": _names(images[:done])}.items():
        if before.get(key) != value:
            raise ConfigError(
                f"{state} is of a run with another {key} ({before.get(key)}, now {value}): {remedy}"
            )
    if done % run["batch size"] and done < len(images):  # its last batch was a short one
        raise ConfigError(f"{state} is of a run with only {done} images: {remedy}")
    return done, mean


def _names(images: Sequence[Path], before: str = "") -> str:
    """A chained hash over names and sizes of image files, continuing `before`."""
    for path in images:
        line = f"{before} {path.stat().st_size} {path.name}"
        before = hashlib.sha256(line.encode()).hexdigest()
    return before


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Replace `path` in one step: a killed process leaves the old file or the new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(json.dumps(document, indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from error
    finally:
        temporary.unlink(missing_ok=True)
