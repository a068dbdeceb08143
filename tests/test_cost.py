"""Costs are counted exactly, and one copy or launch more in a layer is noticed."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import rms_norm, scaled_dot_product_attention

from bench.arms.random_prompts import WORDS
from bench.arms.untrained import config_7b
from bench.base.errors import UserError
from bench.cost import recorded
from bench.cost.count import Cost, counting
from bench.cost.gpu import load_gpu
from bench.cost.models import BATCHES, CASES, MODELS
from bench.cost.predict import predict
from bench.cost.roofline import LlavaShape, Wall, Work, decode, floor, prefill, vision
from bench.cost.stages import cost_of
from hybrid.language import Language
from hybrid.methods import METHODS
from hybrid.methods.pyramiddrop import PyramidStage
from hybrid.stages import Read

HALF: dict[str, Any] = {"dtype": torch.half, "device": "meta"}
SHAPE = LlavaShape.from_config(config_7b(), element_bytes=2)

OTHER = recorded.other_packages()
against_the_record = pytest.mark.skipif(OTHER is not None, reason=str(OTHER))

Counted = dict[tuple[str, int], dict[str, Cost]]


@pytest.fixture(scope="module")
def counted() -> Counted:
    """All but methods; counting them takes longest here, so it is done once."""
    return {(arm, batch): cost_of(arm, batch) for arm, batch in CASES if arm not in METHODS}


def as_recorded(costs: Counted) -> recorded.Costs:
    """In the form that is compared with the record; arms that are not counted are as they were."""
    now = recorded.load()
    for (arm, batch), stages in costs.items():
        now[arm][f"batch-{batch}"] = {stage: cost.to_json() for stage, cost in stages.items()}
    return now


def test_a_product_costs_its_multiply_adds_and_its_three_matrices() -> None:
    left, right = torch.empty(3, 5, **HALF), torch.empty(5, 7, **HALF)
    with counting() as cost:
        _ = left @ right
    assert cost.flops == 2 * 3 * 5 * 7
    assert cost.bytes_moved == 2 * (3 * 5 + 5 * 7 + 3 * 7)
    assert cost.weight_bytes == 0
    assert cost.operators == {"mm": 1}


def test_weights_are_counted_apart_also_when_they_are_transposed() -> None:
    weight, x = torch.empty(7, 5, **HALF), torch.empty(3, 5, **HALF)
    with counting([weight]) as cost:
        _ = x @ weight.t()
    assert cost.weight_bytes == 2 * 7 * 5
    assert cost.bytes_moved == 2 * (7 * 5 + 3 * 5 + 3 * 7)


def test_views_and_allocations_start_nothing() -> None:
    x = torch.empty(4, 6, **HALF)
    with counting() as cost:
        x.view(2, 12).t()[1:].unsqueeze(0).expand(3, -1, -1)
        torch.empty_like(x)
    assert cost.launches == 0


def test_picking_rows_costs_the_rows_and_not_the_table() -> None:
    table, index = torch.empty(1000, 8, **HALF), torch.zeros(2, dtype=torch.long, device="meta")
    with counting() as cost:
        table.index_select(0, index)
    assert cost.bytes_moved == 2 * (2 * 8 * 2)


def test_an_expanded_tensor_is_read_once() -> None:
    row, x = torch.empty(1, 8, **HALF), torch.empty(100, 8, **HALF)
    with counting() as cost:
        _ = x + row.expand(100, 8)
    assert cost.bytes_moved == 2 * (800 + 8 + 800)


def test_fused_attention_is_one_launch_and_no_square_matrix() -> None:
    query = torch.empty(1, 2, 50, 4, **HALF)
    with counting() as cost:
        out = scaled_dot_product_attention(query, query, query)
    assert out.shape == query.shape
    assert cost.launches == 1
    assert cost.flops == 4 * 2 * 50 * 50 * 4
    assert cost.bytes_moved == 4 * query.nbytes


@pytest.mark.parametrize(
    ("keys", "kind", "made"),
    [
        (64, "additive", 0),
        (50, "additive", 2),  # filled and copied into aligned rows
        (64, "bool", 3),  # two scalars, and where
        (50, "bool", 5),
    ],
)
def test_what_attention_makes_of_its_mask_counts(keys: int, kind: str, made: int) -> None:
    """As PyTorch does on CUDA, in each call; of an additive mask with aligned rows, nothing."""
    query, key = torch.empty(1, 2, 50, 4, **HALF), torch.empty(1, 2, keys, 4, **HALF)
    dtype = torch.bool if kind == "bool" else torch.float16
    mask = torch.empty(1, 1, 50, keys, dtype=dtype, device="meta")
    with counting() as cost:
        scaled_dot_product_attention(query, key, key, attn_mask=mask)
    assert cost.launches == 1 + made
    assert cost.operators["scaled_dot_product_attention, masked"] == 1
    with counting() as positional:
        scaled_dot_product_attention(query, key, key, mask)
    assert positional == cost


def test_a_fused_norm_is_one_launch() -> None:
    hidden, weight = torch.empty(1, 50, 8, **HALF), torch.empty(8, **HALF)
    with counting([weight]) as cost:
        out = rms_norm(hidden, weight.shape, weight, 1e-5)
    assert (out.shape, cost.launches) == (hidden.shape, 1)
    assert (cost.weight_bytes, cost.bytes_moved) == (
        weight.nbytes,
        weight.nbytes + 2 * hidden.nbytes,
    )


def test_causal_attention_costs_the_half_that_it_sees() -> None:
    query = torch.empty(1, 2, 50, 4, **HALF)
    with counting() as cost:
        scaled_dot_product_attention(query, query, query, is_causal=True)
    assert cost.flops == 4 * 2 * (50 * 51 // 2) * 4


@against_the_record
def test_costs_are_as_recorded(counted: Counted) -> None:
    assert recorded.compare(as_recorded(counted)) == {}


@against_the_record
@pytest.mark.parametrize("name", METHODS)
def test_a_method_costs_what_is_recorded(name: str) -> None:
    [batch] = [batch for arm, batch in CASES if arm == name]
    assert recorded.compare(as_recorded({(name, batch): cost_of(name, batch)})) == {}


def test_a_schedule_saves_the_tower_s_flops_and_bytes(counted: Counted) -> None:
    without, scheduled = (counted[arm, 8]["vision"] for arm in ("hybrid", "scheduled"))
    assert 0.5 < scheduled.flops / without.flops < 0.62
    assert scheduled.peak_bytes <= without.peak_bytes
    assert scheduled.bytes_moved < 0.75 * without.bytes_moved


@pytest.mark.parametrize("batch", BATCHES)
def test_counts_and_the_roofline_agree_on_what_a_dense_model_must_do(
    counted: Counted, batch: int
) -> None:
    layers = [WORDS + SHAPE.image_tokens] * SHAPE.text_layers
    tower = vision(SHAPE, [SHAPE.image_tokens + 1] * SHAPE.vision_layers, batch=batch)
    formulas = {
        "vision": tower,
        "prefill": [*tower, *prefill(SHAPE, layers, batch=batch)],
        "decode": decode(SHAPE, layers, batch=batch),
    }
    h100 = load_gpu("h100")
    for stage, works in formulas.items():
        cost = counted["dense", batch][stage]
        # The formulas leave out biases, norms, embeddings and the new token's own key.
        assert cost.flops == pytest.approx(sum(work.flops for work in works), rel=1e-3)
        weights = sum(work.weight_bytes for work in works)
        assert cost.weight_bytes == pytest.approx(weights, rel=2e-3)
        least = floor(works, h100.ceiling).seconds
        assert least < predict(cost, h100).device < 2 * least


def test_the_cache_is_as_long_as_each_layer_needs(counted: Counted) -> None:
    token = 2 * 2 * 4096  # key and value, in bytes
    dense, hybrid = counted["dense", 1], counted["hybrid", 1]
    assert dense["prefill"].cache_bytes == 32 * 640 * token
    assert dense["decode"].cache_bytes == 32 * 641 * token
    room = 64  # for the answer
    long, short = 64 + 256 + room, 64 + 36 + room
    assert hybrid["prefill"].cache_bytes == (3 * long + 29 * short) * token
    assert hybrid["vision"].cache_bytes == 0


def test_a_prediction_names_the_wall() -> None:
    gpu = load_gpu("h100")
    computing = Work(flops=8e12, weight_bytes=1, other_bytes=1)
    streaming = Work(flops=1, weight_bytes=3.35e9, other_bytes=0)
    found = predict(Cost(works=[computing, streaming]), gpu)
    assert found.device == pytest.approx(10e-3 + 1e-3)
    assert found.seconds(found.eager) == found.device
    assert found.wall(found.eager) is Wall.COMPUTE
    many = predict(
        Cost(works=[streaming] * 10 + [Work(flops=0, weight_bytes=0, other_bytes=1)] * 990), gpu
    )
    assert many.eager == pytest.approx(1000 * 17e-6)
    assert (many.seconds(many.eager), many.wall(many.eager)) == (many.eager, Wall.LAUNCHES)
    assert many.wall(many.graphed) is Wall.WEIGHTS


def test_known_stages_stand_against_known_walls(counted: Counted) -> None:
    h100 = load_gpu("h100")
    one, eight = predict(counted["dense", 1]["decode"], h100), counted["dense", 8]["prefill"]
    assert one.wall(one.eager) is Wall.LAUNCHES
    assert one.wall(one.graphed) is Wall.WEIGHTS
    many = predict(eight, h100)
    assert many.wall(many.eager) is Wall.COMPUTE


def changes(
    monkeypatch: pytest.MonkeyPatch, owner: type, method: str, planted: Any
) -> dict[str, str]:
    """What is reported for the hybrid at batch 1 with `planted` in place of a method."""
    monkeypatch.setattr(owner, method, planted)
    return recorded.compare(as_recorded({("hybrid", 1): cost_of("hybrid", 1)}))


@against_the_record
def test_a_copy_in_each_layer_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    original = Language.finish

    def finish(self: Language, index: int, hidden: Tensor, attended: Tensor) -> Tensor:
        return original(self, index, hidden.clone(), attended)

    found = changes(monkeypatch, Language, "finish", finish)
    assert list(found) == ["hybrid, batch-1, prefill", "hybrid, batch-1, decode"]
    for line in found.values():
        clones = re.search(r"\(clone (\d+) -> (\d+)\)", line)
        assert clones and int(clones[2]) - int(clones[1]) == 32, line  # one a layer


@against_the_record
def test_one_projection_more_in_one_method_is_noticed_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = PyramidStage.scores

    def twice(self: PyramidStage, read: Read) -> Tensor:
        read.own()
        return original(self, read)

    monkeypatch.setattr(PyramidStage, "scores", twice)
    costs = {(arm, 8): cost_of(arm, 8) for arm in ("pyramiddrop", "dart")}
    [(stage, line)] = recorded.compare(as_recorded(costs)).items()
    assert stage == "pyramiddrop, batch-8, prefill"
    # Query, key and value, each a matrix of the language model, of what the three stages read.
    more = 3 * 2 * 4096 * 4096 * 8 * sum(64 + slots for slots in (576, 288, 144))
    flops = [int(number.replace(",", "")) for number in re.findall(r"[0-9,]{9,}", line)[:2]]
    assert line.startswith("flops") and flops[1] - flops[0] == more


@against_the_record
def test_a_materialised_attention_matrix_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def attend(
        self: Language,
        index: int,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor | None,
    ) -> Tensor:
        logits = query @ key.transpose(2, 3)
        if mask is not None:
            logits = logits + mask
        return logits.softmax(dim=-1) @ value

    found = changes(monkeypatch, Language, "attend", attend)
    assert len(found) == 2
    assert all("_softmax" in line for line in found.values()), found
    # Not the peak: at 260 tokens the MLP's activations are wider than the attention matrix.
    assert all("bytes_moved" in line for line in found.values()), found


def test_the_record_holds_for_the_pinned_packages() -> None:
    """So that where constraints.txt is installed, nothing above is skipped."""
    pins = (Path(__file__).parents[1] / "constraints.txt").read_text().split()
    for model in MODELS:
        recorded_for = json.loads(recorded.path_of(model).read_text())["versions"]
        assert {f"{name}=={version}" for name, version in recorded_for.items()} < set(pins)


def test_a_record_for_other_packages_is_an_error_and_no_pass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recorded, "_versions", lambda: {"torch": "0.1", "transformers": "5.0"})
    with pytest.raises(UserError, match=r"was counted with torch 2.*but torch 0.1"):
        recorded.load()
