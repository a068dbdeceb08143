"""Costs are counted exactly, and one copy or launch more in a layer is noticed."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from bench.cost import cost_of, counting, recorded
from bench.errors import UserError
from hybrid import HybridLlava

HALF: dict[str, Any] = {"dtype": torch.half, "device": "meta"}


def test_a_product_costs_its_multiply_adds_and_its_three_matrices() -> None:
    left, right = torch.empty(3, 5, **HALF), torch.empty(5, 7, **HALF)
    with counting() as cost:
        _ = left @ right
    assert cost.flops == 2 * 3 * 5 * 7
    assert cost.bytes_moved == 2 * (3 * 5 + 5 * 7 + 3 * 7)
    assert cost.operators == {"mm": 1}


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


@pytest.mark.parametrize("masked", [False, True])
def test_fused_attention_is_one_launch_and_no_square_matrix(masked: bool) -> None:
    query = torch.empty(1, 2, 50, 4, **HALF)
    mask = torch.empty(1, 1, 50, 50, dtype=torch.bool, device="meta") if masked else None
    with counting() as cost:
        out = scaled_dot_product_attention(query, query, query, attn_mask=mask)
    assert out.shape == query.shape
    assert cost.launches == 1
    assert cost.flops == 4 * 2 * 50 * 50 * 4
    assert cost.bytes_moved == 4 * query.nbytes + (50 * 50 if masked else 0)


def test_dense_decode_streams_the_weights_of_a_7b() -> None:
    weights = 13.21e9  # bytes in the matrices of 32 layers and the vocabulary
    assert weights < cost_of("dense", 1)["decode"].bytes_moved < 1.1 * weights


def test_costs_are_as_recorded() -> None:
    assert recorded.compare(recorded.measure()) == []


def changes(monkeypatch: pytest.MonkeyPatch, method: str, planted: Any) -> list[str]:
    """What is reported for the hybrid at batch 1 with `planted` in place of a method."""
    monkeypatch.setattr(HybridLlava, method, planted)
    now = recorded.measure()
    return [line for line in recorded.compare(now) if line.startswith("hybrid, batch-1")]


def test_a_copy_in_each_layer_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    original = HybridLlava._finish

    def finish(self: HybridLlava, index: int, hidden: Tensor, attended: Tensor) -> Tensor:
        return original(self, index, hidden.clone(), attended)

    found = changes(monkeypatch, "_finish", finish)
    assert [line.split(":")[0].split(", ")[2] for line in found] == ["prefill", "decode"]
    assert all("clone 0 -> 32" in line or "clone 1 -> 33" in line for line in found), found


def test_a_materialised_attention_matrix_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def attend(
        self: HybridLlava,
        index: int,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor | None,
    ) -> Tensor:
        logits = query @ key.transpose(2, 3)
        if mask is not None:
            logits = logits.masked_fill(~mask, float("-inf"))
        return logits.softmax(dim=-1) @ value

    found = changes(monkeypatch, "_attend", attend)
    assert len(found) == 2
    assert all("_softmax" in line for line in found), found


def test_a_record_for_other_packages_is_an_error_and_no_pass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recorded, "_versions", lambda: {"torch": "0.1", "transformers": "5.0"})
    with pytest.raises(UserError, match=r"was counted with torch 2.*but torch 0.1"):
        recorded.compare({})
