"""The meta pass sees what the CPU tier cannot tell apart, and ends at the first read."""

from collections.abc import Callable

import pytest
import torch

from bench.syncs import detect_syncs
from bench.syncs.second_opinion import second_opinion
from hybrid import HybridConfig, hybridize
from tests.llavas import VISION_BLOCKS, batch, random_llava

X = torch.ones(4, 3, device="meta")


def test_a_clean_run_finishes() -> None:
    opinion = second_opinion(lambda: X.softmax(-1)[torch.zeros(2, dtype=torch.long, device="meta")])
    assert opinion.finished
    assert opinion.report.count == 0


def test_a_factory_that_was_not_told_its_device_is_found() -> None:
    def forgets(x: torch.Tensor) -> torch.Tensor:
        return x * torch.arange(3)

    with detect_syncs() as on_cpu:
        forgets(torch.ones(4, 3))
    assert on_cpu.count == 0
    opinion = second_opinion(lambda: forgets(X))
    [finding] = opinion.report.findings
    assert finding.site.source == "return x * torch.arange(3)"
    assert not opinion.finished


def test_a_move_to_the_cpu_as_a_device_object_is_found() -> None:
    def moves(x: torch.Tensor) -> torch.Tensor:
        return x.to(torch.device("cpu"))

    with detect_syncs() as on_cpu:
        moves(torch.ones(4, 3))
    assert on_cpu.count == 0
    opinion = second_opinion(lambda: moves(X))
    assert [f.operator for f in opinion.report.findings] == ["Tensor.to"]


@pytest.mark.parametrize(
    "read",
    [
        lambda: X.sum().item(),
        lambda: bool(X.any()),
        lambda: X[X > 0],
        X.nonzero,
        X.tolist,
        lambda: X[: X.sum().int()],
    ],
)
def test_the_first_read_is_found_and_ends_the_run(read: Callable[[], object]) -> None:
    opinion = second_opinion(read)
    assert opinion.report.count == 1
    assert not opinion.finished


def test_an_error_of_the_code_itself_is_not_swallowed() -> None:
    with pytest.raises(RuntimeError, match="must have same reduction dim"):
        second_opinion(lambda: X @ X)


def test_the_hybrid_prefills_and_decodes_on_meta() -> None:
    config = HybridConfig(keep="4", aggregation_layer=1, thresholds=(0.5,) * VISION_BLOCKS)
    given = vars(batch(3, "first"))
    model = hybridize(random_llava().to("meta"), config)
    inputs = model.place(
        given["input_ids"].to("meta"),
        given["pixel_values"].to("meta"),
        given["attention_mask"].to("meta"),
    )

    def run() -> None:
        state = model.prefill(inputs, 3)
        model.select(state)
        model.decode(state)

    opinion = second_opinion(run)
    assert opinion.finished
    assert opinion.report.count == 0, opinion.report.text()
