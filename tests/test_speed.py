"""What the reduction gains on a LLaVA of true depth and token counts, at a width CPUs can bear.

32 language-model layers, 24 CLIP blocks, 577 image tokens, 640 prompt tokens, random weights, two
threads. Ratios come from interleaved blocks of one run. `nox -s speed` runs these; the default
test session leaves them out, since they take minutes and want a quiet machine.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import torch

from bench.timing.arms import dense_arm, hybrid_arm
from bench.timing.clock import HostClock
from bench.timing.interleave import Arm, Stopwatch, measure
from bench.timing.ratio import Ratio, paired_ratio
from bench.timing.roofline import LlavaShape, prefill, vision
from bench.untrained import TRUE_DEPTH, batch_of, untrained_llava
from hybrid import HybridConfig, hybridize

pytestmark = pytest.mark.speed

THREADS = 2
TEXT = 64  # with 576 patches: 640 tokens, counted as LLaVA counts them
BATCH = vars(batch_of(TRUE_DEPTH, [(35, TEXT - 35)]))
SHAPE = LlavaShape.from_config(TRUE_DEPTH.config(), element_bytes=4)
LAYERS, BLOCKS = TRUE_DEPTH.text_layers, TRUE_DEPTH.vision_layers
AGGREGATION = 2
# Nearly nothing merges by itself at random weights, so what merging costs is seen, not its gain.
THRESHOLDS = (0.95,) * BLOCKS


@pytest.fixture(scope="module")
def llava() -> Any:
    model = untrained_llava(TRUE_DEPTH)
    model.generation_config.eos_token_id = None
    return model


@pytest.fixture(autouse=True)
def _inference() -> Iterator[None]:
    with torch.inference_mode():
        yield


def ratios(arms: Mapping[str, Arm], reference: str, stage: str, blocks: int) -> dict[str, Ratio]:
    """Seconds of each arm per second of `reference`, printed as they stand."""
    samples = measure(arms, blocks=blocks, clock=HostClock(), threads=THREADS, warmup=1)
    found = {}
    base = samples.seconds(reference, stage)
    for name in arms:
        ratio = paired_ratio(samples.seconds(name, stage), base, 0.9)
        milliseconds = 1e3 * float(torch.tensor(samples.seconds(name, stage)).median())
        found[name] = ratio
        print(
            f"\n{stage} {name}: {milliseconds:.0f} ms, {ratio.value:.3f}x {reference} "
            f"[{ratio.low:.3f}, {ratio.high:.3f}]",
            end="",
        )
    print()
    return found


def counted(layers: list[int], blocks: int) -> float:
    """FLOPs of vision and prefill."""
    tower = [TRUE_DEPTH.patches + 1] * blocks
    works = [*vision(SHAPE, tower, batch=1), *prefill(SHAPE, layers, batch=1)]
    return float(sum(work.flops for work in works))


def config(keep: int) -> HybridConfig:
    return HybridConfig(keep=keep, aggregation_layer=AGGREGATION, thresholds=THRESHOLDS)


def test_prefill_gains_what_counted_flops_allow_and_off_costs_nothing(llava: Any) -> None:
    keeps = {"keep 72": 72, "keep 36": 36}
    arms = {
        "dense": dense_arm(llava, BATCH, 2),
        "off": hybrid_arm(hybridize(llava, HybridConfig()), BATCH, 2),
    }
    for name, keep in keeps.items():
        arms[name] = hybrid_arm(hybridize(llava, config(keep)), BATCH, 2)
    found = ratios(arms, "dense", "prefill", blocks=10)
    everything = counted([TEXT + TRUE_DEPTH.patches] * LAYERS, BLOCKS)
    shares = {}
    for name, keep in keeps.items():
        long = [TEXT + TRUE_DEPTH.patches] * (AGGREGATION + 1)
        short = [TEXT + keep] * (LAYERS - AGGREGATION - 1)
        allowed = everything / counted(long + short, BLOCKS - 1)
        reached = 1 / found[name].value
        shares[name] = reached / allowed
        print(f"{name}: {reached:.2f}x faster, counted FLOPs allow {allowed:.2f}x")
    assert min(shares.values()) >= 0.8, shares
    assert found["off"].value <= 1.03


def test_decode_is_not_slower_than_transformers_with_a_static_cache(llava: Any) -> None:
    arms = {
        "dense, static cache": dense_arm(llava, BATCH, 65, cache_implementation="static"),
        "dense": dense_arm(llava, BATCH, 65),
        "off": hybrid_arm(hybridize(llava, HybridConfig()), BATCH, 65),
        "keep 72": hybrid_arm(hybridize(llava, config(72)), BATCH, 65),
    }
    found = ratios(arms, "dense, static cache", "decode", blocks=5)
    assert found["off"].value <= 1.0
    assert found["keep 72"].value <= 1.0
    assert found["off"].value <= 1.03 * found["dense"].value


def test_merging_adds_little_to_the_vision_tower(llava: Any) -> None:
    def tower(thresholds: tuple[float, ...] | None) -> Arm:
        model = hybridize(llava, HybridConfig(thresholds=thresholds))

        def arm(watch: Stopwatch) -> None:
            with watch("vision"):
                model.vision(BATCH["pixel_values"])

        return arm

    arms = {"plain": tower(None), "merging": tower(THRESHOLDS)}
    found = ratios(arms, "plain", "vision", blocks=20)
    assert found["merging"].value <= 1.15
