"""transformers' own LLaVA, tiny and untrained, under the detector: where it is known to wait."""

import sys
import time
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from bench.arms.untrained import batch_of
from bench.syncs import Label, Report, detect_syncs, label_stages, prefill_then_decode
from tests.llavas import SHAPE, batch, random_llava

NEW_TOKENS = 6


@pytest.fixture(scope="module")
def llava() -> Any:
    return random_llava()


@pytest.fixture(scope="module")
def in_stages(llava: Any) -> Report:
    labels: dict[str, Label] = {
        "forward": prefill_then_decode,
        "vision_tower": "vision",
        "multi_modal_projector": "projector",
        "language_model.layers.*": "layer {index}",
    }
    with label_stages(llava, labels), detect_syncs() as report:
        generate(llava, ONE)
    return report


@pytest.fixture(scope="module")
def one_answer(llava: Any) -> Report:
    with detect_syncs() as report:
        generate(llava, ONE)
    return report


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


GENERATION, MASKS = "transformers/generation/utils.py", "transformers/masking_utils.py"
LLAVA = "transformers/models/llava/modeling_llava.py"
IS_5_23 = transformers.__version__.startswith("5.23.")
only_5_23 = pytest.mark.skipif(
    not IS_5_23, reason=f"known of transformers 5.23, not of {transformers.__version__}"
)
# From Python 3.12 on, a condition over several lines waits in the line that is read, not in its if.
IF_LINES = sys.version_info < (3, 12)
# Where 5.23 is known to wait: file, line there, what the line says, times a `generate` of one
# unpadded prompt. Other releases move the lines; the text is what must be found.
KNOWN = [
    (GENERATION, 395, "return bool(unfinished_sequences.max() == 0)", NEW_TOKENS),
    (GENERATION, 2412, "torch.isin(eos_token_tensor, pad_token_tensor).any()", 1),
    (GENERATION, 2420, "if eos_token_tensor is not None and (", 1)
    if IF_LINES
    else (GENERATION, 2421, "(eos_token_tensor < 0).any()", 1),
    (LLAVA, 212, "Image features and image tokens do not match", 1),
]
if IS_5_23:  # not there yet in 5.17
    KNOWN += [
        (GENERATION, 1446, "encoder_input_ids is not None and encoder_input_ids.dim() == 2", 1),
        (GENERATION, 2897, "if (", 1)
        if IF_LINES
        else (GENERATION, 2901, '(model_kwargs["attention_mask"] == 1).all()', 1),
    ]
elif transformers.__version__.startswith("5.17."):  # not there any more in 5.23
    KNOWN += [(MASKS, 0, "fast_all(padding_mask)", NEW_TOKENS)]


@pytest.mark.parametrize(("file", "line", "text", "times"), KNOWN)
def test_generate_is_found_waiting_at_each_known_line(
    one_answer: Report, file: str, line: int, text: str, times: int
) -> None:
    found = [f for f in one_answer.findings if f.site.file == file and text in f.site.source]
    assert sum(finding.count for finding in found) == times, one_answer.text()
    if IS_5_23:
        assert [finding.site.line for finding in found] == [line]


@only_5_23
def test_generate_reads_nothing_else(one_answer: Report) -> None:
    reads = [f for f in one_answer.findings if f.operator == "bool(tensor)"]
    known = [times for file, _, _, times in KNOWN if file != LLAVA]
    assert sum(finding.count for finding in reads) == sum(known)


def test_the_check_of_the_image_count_is_found_behind_torchs_own_function(llava: Any) -> None:
    """`modeling_llava.py:210` calls a helper that reads the condition."""
    with detect_syncs(stack=True) as report:
        generate(llava, ONE)
    [check] = [f for f in report.findings if "_check_tensor_all" in f.site.source]
    behind = [frame for frame in check.stack if frame.file == LLAVA]
    assert check.count == 1
    assert "torch_compilable_check" in behind[0].source


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


def test_the_vision_tower_and_the_decoder_layers_do_not_wait(in_stages: Report) -> None:
    stages = {name for finding in in_stages.findings for name in finding.stages}
    steps = {name for name in stages if name == "prefill" or name.startswith("decode step ")}
    assert stages == {"", "prefill", *steps}


@only_5_23
def test_a_forward_of_a_single_token_does_not_wait(in_stages: Report) -> None:
    stages = {name for finding in in_stages.findings for name in finding.stages}
    assert stages == {"", "prefill"}
    assert in_stages.in_stage("prefill") == 2


def test_watching_changes_no_token(llava: Any) -> None:
    plain = generate(llava, TWO)
    with detect_syncs():
        watched = generate(llava, TWO)
    assert torch.equal(plain, watched)


@pytest.mark.clock
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
