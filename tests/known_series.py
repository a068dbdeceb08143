"""Series of two arms whose ratio is known, with the noise of shared machines."""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.trust.gatecheck.record import MANIFEST, segment_path
from bench.trust.gatecheck.series import BATCHES, TRUTHS, Segment

LEVEL_S = {"prefill": 0.014, "decode": 0.002, "answer": 0.044}
NOISES = ("calm", "drift", "stalls", "alike")


def synthetic_segment(
    ratio: float, *, noise: str = "calm", blocks: int = 560, seed: int
) -> Segment:
    """Blocks of four calls; the planted arm takes `ratio` times as long, before the noise.

    calm: 2% jitter. drift: and the machine slows down by a third and recovers, once a minute.
    stalls: and one call in ten takes up to three times as long. alike: and what one block has
    too much, the next has half of.
    """
    generator = np.random.default_rng(seed)
    shape = (blocks, 2, 2)
    spread = generator.normal(0, 0.02, shape)
    if noise == "alike":
        for block in range(1, blocks):
            spread[block] += 0.5 * spread[block - 1]
    if noise == "stalls":
        spread += np.log(generator.uniform(1, 3, shape)) * (generator.random(shape) < 0.1)
    slow = np.exp(spread)
    if noise == "drift":
        slow *= 1.17 + 0.17 * np.sin(seed + np.arange(blocks) / 55)[:, None, None]
    slow[:, :, 1] *= ratio
    stages = {stage: _nanoseconds(level * slow) for stage, level in LEVEL_S.items()}
    zero = np.zeros(shape, dtype=np.int64)
    return Segment(
        **stages,
        wait=zero,
        cpu=stages["answer"],
        steal=zero,
        end=stages["answer"].sum(axis=(1, 2)).cumsum() // 1000,
    )


def synthetic_recording(
    folder: Path, *, noise: str = "calm", ratios: tuple[float, ...] = (1.0, 1.05, 1.10)
) -> Path:
    """A recording of two segments a truth and batch size, whose truths are `ratios`."""
    (folder / MANIFEST).parent.mkdir(parents=True, exist_ok=True)
    setup = {"cpu": "imagined", "cores": 2}
    (folder / MANIFEST).write_text(json.dumps({"recorded": "2026-01-01", "setup": setup}))
    seed = 0
    for batch in BATCHES:
        for truth, ratio in zip(TRUTHS, ratios, strict=True):
            for number in range(2):
                segment = synthetic_segment(ratio, noise=noise, seed=seed)
                segment.save(segment_path(folder, batch, truth, number))
                seed += 1
    return folder


def _nanoseconds(seconds: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.rint(1e9 * seconds).astype(np.int64)
