"""transformers' own LLaVA, tiny and untrained, under the detector: where it is known to wait."""

import time
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.syncs import Label, Report, detect_syncs, label_stages, prefill_then_decode
from bench.untrained import batch_of
from tests.llavas import SHAPE, batch, random_llava

NEW_TOKENS = 6


@pytest.fixture(scope="module")
def llava() -> Any:
    return random_llava()


ONE: dict[str, Tensor] = vars(batch(1))
# Equal prompts: padding would add waits of its own.
TWO: dict[str, Tensor] = vars(batch_of(SHAPE, [(4, 6), (4, 6)]))


def generate(model: Any, given: dict[str, Tensor]) -> torch.Tensor:
    ids = model.generate(
        **given, max_new_tokens=NEW_TOKENS, min_new_tokens=NEW_TOKENS, do_sample=False
    )
    assert isinstance(ids, torch.Tensor)
    return ids


def counts(report: Report) -> dict[str, int]:
    """Waits by the source text of their line, since line numbers move with each release."""
    found: dict[str, int] = {}
    for finding in report.findings:
        found[finding.site.source] = found.get(finding.site.source, 0) + finding.count
    return found


def test_generate_waits_once_a_token_and_where_it_prepares(
    llava: Any,
) -> None:
    with detect_syncs() as report:
        generate(llava, ONE)
    found = counts(report)
    assert found["return bool(unfinished_sequences.max() == 0)"] == NEW_TOKENS
    [message] = [count for source, count in found.items() if "Image features and image" in source]
    assert message == 1
    files = {finding.site.file for finding in report.findings}
    assert "transformers/generation/utils.py" in files
    assert "transformers/models/llava/modeling_llava.py" in files
    reads = [f for f in report.findings if f.operator == "bool(tensor)"]
    preparing = [f for f in reads if "unfinished_sequences" not in f.site.source]
    assert sum(f.count for f in preparing) == 4


def test_a_batch_adds_the_right_padding_check(llava: Any) -> None:
    with detect_syncs() as one:
        generate(llava, ONE)
    with detect_syncs() as two:
        generate(llava, TWO)
    extra = counts(two).keys() - counts(one).keys()
    assert extra == {"has_right_padding = torch.any(attention_mask[:, -1] == 0).item()"}


def test_a_forward_with_a_mask_reads_it(llava: Any) -> None:
    with torch.no_grad(), detect_syncs(stack=True) as report:
        llava(**ONE)
    assert report.count == 3
    assert any("fast_all(padding_mask)" in f.site.source for f in report.findings)
    [check] = [f for f in report.findings if f.operator == "Tensor.item"]
    assert any(frame.file.endswith("modeling_llava.py") for frame in check.stack)


def test_the_vision_tower_and_the_decoder_layers_do_not_wait(
    llava: Any,
) -> None:
    labels: dict[str, Label] = {
        "forward": prefill_then_decode,
        "vision_tower": "vision",
        "multi_modal_projector": "projector",
        "language_model.layers.*": "layer {index}",
    }
    with label_stages(llava, labels), detect_syncs() as report:
        generate(llava, ONE)
    stages = {name for finding in report.findings for name in finding.stages}
    assert stages == {"", "prefill"}
    assert report.in_stage("prefill") == 2


def test_watching_changes_no_token(llava: Any) -> None:
    plain = generate(llava, TWO)
    with detect_syncs():
        watched = generate(llava, TWO)
    assert torch.equal(plain, watched)


def test_watching_costs_at_most_ten_times(llava: Any) -> None:
    def seconds(watched: bool) -> float:
        start = time.process_time()
        if watched:
            with detect_syncs():
                generate(llava, ONE)
        else:
            generate(llava, ONE)
        return time.process_time() - start

    generate(llava, ONE)
    ratio = min(seconds(True) for _ in range(3)) / min(seconds(False) for _ in range(3))
    assert ratio < 10
