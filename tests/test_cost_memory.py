"""Live memory is counted to the byte: against plain arithmetic, and against the CPU's allocator."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.arms.untrained import Shape, batch_of, untrained_llava
from bench.cost.count import counting
from bench.cost.stages import Stages, costs_of, stages_of
from hybrid import HybridConfig, Keep
from hybrid.methods import METHODS

SHAPE = Shape(side=12, vision_layers=3, vision_width=96, text_width=128, vocabulary=400)
CONFIGS = {
    "dense": None,
    "off": HybridConfig(),
    "hybrid": HybridConfig(keep=9, aggregation_layer=1, thresholds=(0.9,) * 3, capacity=64),
}
KB = 256  # float32 in a kilobyte


def empty(count: int) -> Tensor:
    return torch.empty(count * KB, device="meta")


def test_memory_is_counted_from_the_operator_that_makes_it_to_its_last_view() -> None:
    given = empty(8)
    with counting() as cost:
        first = given + 1  # 8 KB alive
        view = first.view(2, -1)
        del first
        second = view * 2  # 16 KB, the view holds 8
        del view
        third = torch.cat([second, second[:1]])  # 8 + 12 KB
        del second
        third.add_(1)
    assert cost.peak_bytes == 20 * 1024


def test_an_address_that_is_used_again_is_new_memory() -> None:
    given = empty(4)
    with counting() as cost:
        for _ in range(50):
            given + 1
    assert cost.peak_bytes == 4 * 1024


def test_the_cache_is_left_out_wherever_the_peak_is() -> None:
    given, cache = empty(4), list[Tensor]()
    with counting(cache=lambda: cache) as cost:
        cache.append(given + 1)
        temporary = torch.cat([given, given])
        del temporary
        cache.append(given + 1)
    assert (cost.peak_bytes, cost.cache_bytes) == (8 * 1024, 8 * 1024)


def stages(llava: Any, config: HybridConfig | None, device: str) -> Stages:
    batch = batch_of(SHAPE, [(10, 30)] * 2)
    given = {"input_ids": batch.input_ids, "pixel_values": batch.pixel_values.to(device)}
    return stages_of(llava, config, given)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_meta_tensors_cost_what_real_ones_do(config: HybridConfig | None) -> None:
    real, meta = untrained_llava(SHAPE), untrained_llava(SHAPE).to("meta")
    found = costs_of(meta, stages(meta, config, "meta"))
    expected = costs_of(real, stages(real, config, "cpu"))
    assert {name: cost.to_json() for name, cost in found.items()} == {
        name: cost.to_json() for name, cost in expected.items()
    }


def test_meta_tensors_cost_what_real_ones_do_with_every_method() -> None:
    real, meta = untrained_llava(SHAPE), untrained_llava(SHAPE).to("meta")
    for name, make in METHODS.items():
        config = HybridConfig(method=(make(Keep(count=64)),))
        found = costs_of(meta, stages(meta, config, "meta"))
        expected = costs_of(real, stages(real, config, "cpu"))
        assert {stage: cost.to_json() for stage, cost in found.items()} == {
            stage: cost.to_json() for stage, cost in expected.items()
        }, name


def allocated(work: Callable[[], object], folder: Path) -> int:
    """The most bytes that torch's CPU allocator had given out at once, by its profiler."""
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profile:
        held = work()
    profile.export_chrome_trace(str(folder / "trace.json"))
    del held
    events = json.loads((folder / "trace.json").read_text())["traceEvents"]
    calls = sorted((e for e in events if e.get("name") == "[memory]"), key=lambda e: e["ts"])
    live = peak = 0
    for call in calls:
        live += call["args"]["Bytes"]
        peak = max(peak, live)
    return peak


@pytest.mark.parametrize("config", [None, HybridConfig()], ids=["dense", "off"])
@torch.inference_mode()
def test_the_count_is_what_the_cpus_allocator_gives_out(
    config: HybridConfig | None, tmp_path: Path
) -> None:
    llava = untrained_llava(SHAPE)
    counts = []
    for work in stages(llava, config, "cpu").run.values():
        with counting() as cost:  # no cache apart: the allocator does not know it either
            work()
        counts.append(cost.peak_bytes)
    run = stages(llava, config, "cpu").run
    for work, count in zip(list(run.values())[:2], counts, strict=False):
        assert allocated(work, tmp_path) == pytest.approx(count, rel=0.001)
