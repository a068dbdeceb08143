"""The cost model against the figures it is documented with, to the digits they were printed in."""

from collections.abc import Callable, Sequence

import pytest
import torch

from bench.arms.untrained import config_7b
from bench.cost.gpu import known_gpu, load_gpu
from bench.cost.roofline import (
    Ceiling,
    LlavaShape,
    Wall,
    Work,
    answer_floors,
    decode,
    floor,
    prefill,
    vision,
)
from bench.timing import host
from bench.timing.host import measure_host_ceiling

SHAPE = LlavaShape.from_config(config_7b(), element_bytes=2)
H100_BF16 = Ceiling(name="h100", flops_per_s=800e12, bytes_per_s=3.35e12)
TEXT = 64
TOWER = [SHAPE.image_tokens + 1] * SHAPE.vision_layers


def fastv(full: int, kept: int) -> list[int]:
    """Tokens per layer when the image's `full` become `kept` after two layers."""
    return [TEXT + full] * 2 + [TEXT + kept] * (SHAPE.text_layers - 2)


DENSE = fastv(576, 576)


def teraflops(tokens: Sequence[int]) -> float:
    return sum(work.flops for work in prefill(SHAPE, tokens, batch=1)) / 1e12


def seconds_with_vision(tokens: Sequence[int], batch: int) -> float:
    stages = (vision(SHAPE, TOWER, batch=batch), prefill(SHAPE, tokens, batch=batch))
    return sum(floor(stage, H100_BF16).seconds for stage in stages)


@pytest.mark.parametrize(
    ("tokens", "tera", "flop_gain", "milliseconds", "gain_1", "gain_8"),
    [
        (DENSE, "8.40", "1.0", "10.57", "1.00", "1.00"),
        (fastv(576, 288), "4.83", "1.7", "6.12", "1.67", "1.68"),
        (fastv(576, 72), "2.18", "3.9", "4.54", "2.20", "3.40"),
        (fastv(576, 36), "1.74", "4.8", "4.49", "2.22", "4.09"),
        (fastv(195, 195), "3.37", "2.5", "4.31", "2.30", "2.33"),
        (fastv(195, 36), "1.43", "5.9", "4.10", "2.41", "4.78"),
    ],
)
def test_prefill_of_the_7b_on_an_h100(
    tokens: list[int], tera: str, flop_gain: str, milliseconds: str, gain_1: str, gain_8: str
) -> None:
    assert f"{teraflops(tokens):.2f}" == tera
    assert f"{teraflops(DENSE) / teraflops(tokens):.1f}" == flop_gain
    assert f"{1e3 * floor(prefill(SHAPE, tokens, batch=1), H100_BF16).seconds:.2f}" == milliseconds
    for batch, gain in ((1, gain_1), (8, gain_8)):
        speedup = seconds_with_vision(DENSE, batch) / seconds_with_vision(tokens, batch)
        assert f"{speedup:.2f}" == gain


def test_vision_and_projector_of_the_7b() -> None:
    *tower, first, second = vision(SHAPE, TOWER, batch=1)
    assert f"{sum(work.flops for work in tower) / 1e9:.0f}" == "382"
    assert f"{(first.flops + second.flops) / 1e9:.0f}" == "24"
    assert f"{1e3 * floor(tower, H100_BF16).seconds:.2f}" == "0.48"
    assert f"{1e3 * floor([first, second], H100_BF16).seconds:.2f}" == "0.03"


def test_weights_are_the_floor_of_a_decode_step() -> None:
    weights = sum(work.weight_bytes for work in decode(SHAPE, DENSE, batch=1))
    assert f"{weights / 1e9:.2f}" == "13.21"
    assert f"{1e3 * weights / H100_BF16.bytes_per_s:.2f}" == "3.94"


@pytest.mark.parametrize(("batch", "gain"), [(1, "1.02"), (8, "1.15"), (32, "1.55")])
def test_decode_gains_from_short_caches_only_at_large_batches(batch: int, gain: str) -> None:
    dense = floor(decode(SHAPE, DENSE, batch=batch), H100_BF16).seconds
    pruned = floor(decode(SHAPE, fastv(576, 36), batch=batch), H100_BF16).seconds
    assert f"{dense / pruned:.2f}" == gain
    if batch == 1:
        assert (f"{1e3 * dense:.2f}", f"{1e3 * pruned:.2f}") == ("4.04", "3.97")
        assert f"{1 / dense:.0f}" == "247"


def test_the_wall_is_the_one_that_most_of_the_time_is_spent_against() -> None:
    assert floor(prefill(SHAPE, DENSE, batch=1), H100_BF16).wall is Wall.COMPUTE
    assert floor(prefill(SHAPE, fastv(195, 36), batch=1), H100_BF16).wall is Wall.WEIGHTS
    assert floor(decode(SHAPE, DENSE, batch=1), H100_BF16).wall is Wall.WEIGHTS
    assert floor(decode(SHAPE, DENSE, batch=64), H100_BF16).wall is Wall.BANDWIDTH


def test_a_floor_is_the_slower_of_computing_and_moving_in_each_layer() -> None:
    machine = Ceiling(name="m", flops_per_s=10.0, bytes_per_s=5.0)
    computing = Work(flops=30, weight_bytes=5, other_bytes=0)
    moving = Work(flops=10, weight_bytes=2, other_bytes=18)
    both = floor([computing, moving], machine)
    assert both.seconds == 3 + 4
    assert both.wall is Wall.BANDWIDTH


def test_an_answer_is_its_prefill_and_one_decode_step_for_each_token_behind_the_first() -> None:
    floors = answer_floors(
        SHAPE, H100_BF16, tower=TOWER, layers=fastv(576, 36), batch=1, new_tokens=17
    )
    assert floors["prefill"].seconds == pytest.approx(seconds_with_vision(fastv(576, 36), 1))
    assert floors["answer"].seconds == pytest.approx(
        floors["prefill"].seconds + 16 * floors["decode"].seconds
    )
    assert floors["decode"].wall is Wall.WEIGHTS
    one = answer_floors(SHAPE, H100_BF16, tower=TOWER, layers=DENSE, batch=1, new_tokens=1)
    assert one["answer"] == one["prefill"]
    assert "decode" not in one


@pytest.mark.parametrize("stage", [vision, prefill])
def test_merged_and_pruned_tokens_never_cost_more(
    stage: Callable[..., list[Work]],
) -> None:
    layers = 24 if stage is vision else 32
    whole = floor(stage(SHAPE, [577] * layers, batch=1), H100_BF16).seconds
    fewer = floor(stage(SHAPE, [577] * 4 + [300] * (layers - 4), batch=1), H100_BF16).seconds
    assert fewer < whole


def test_a_shape_is_read_from_a_model_config() -> None:
    expected = LlavaShape(
        image_tokens=576,
        patch_pixels=588,
        vision_width=1024,
        vision_mlp=4096,
        vision_layers=24,
        text_width=4096,
        text_mlp=11008,
        text_layers=32,
        key_value_width=4096,
        vocabulary=32064,
        element_bytes=2,
    )
    assert expected == SHAPE


def test_a_driver_s_name_leads_to_the_gpu_of_the_predictions() -> None:
    known = known_gpu("NVIDIA H100 80GB HBM3")
    assert known is not None and known.ceiling == H100_BF16 == load_gpu("h100").ceiling
    assert known_gpu("NVIDIA GeForce GTX 1080") is None


def test_the_ceiling_of_this_machine_is_measured() -> None:
    ceiling = measure_host_ceiling(threads=1, dtype=torch.bfloat16, weight_bytes=1000, seconds=0.05)
    assert 1e8 < ceiling.flops_per_s < 1e14
    assert 1e8 < ceiling.bytes_per_s < 1e13
    assert ceiling.name == "this CPU, 1 threads, bfloat16"


@pytest.mark.parametrize(
    ("weight_bytes", "bandwidth"), [(6 << 20, 100.0), (13 << 30, 20.0)], ids=["cached", "not"]
)
def test_only_small_weights_may_come_from_the_cache(
    monkeypatch: pytest.MonkeyPatch, weight_bytes: int, bandwidth: float
) -> None:
    speeds = {host.CACHED: 100.0, host.UNCACHED: 20.0}
    monkeypatch.setattr(host, "_copies", lambda size, seconds: speeds[size])
    monkeypatch.setattr(host, "_products", lambda rows, dtype, seconds: float(rows))
    ceiling = measure_host_ceiling(threads=1, dtype=torch.float32, weight_bytes=weight_bytes)
    assert (ceiling.bytes_per_s, ceiling.flops_per_s) == (bandwidth, max(host.MATRICES))
