"""Every way to wait is found and pinned to its line; no clean idiom is accused."""

import pytest

from bench.syncs import detect_syncs
from bench.syncs.catalogue import CLEAN, WAITS, Example, Inputs


@pytest.mark.parametrize("example", WAITS, ids=lambda example: example.name)
def test_planted_wait_is_found_at_its_line(example: Example) -> None:
    inputs = Inputs.on("cpu")
    with detect_syncs() as report:
        example.run(inputs)
    found = [(f.operator, f.site.line, f.count) for f in report.findings]
    assert found == [(example.operator, line, example.times) for line in example.marked_lines()]
    [finding] = report.findings
    assert finding.site.function.startswith(example.name)
    assert finding.site.file.startswith("bench/syncs/catalogue/")
    assert finding.site.source.endswith("# waits")


@pytest.mark.parametrize("example", CLEAN, ids=lambda example: example.name)
def test_clean_idiom_is_not_accused(example: Example) -> None:
    inputs = Inputs.on("cpu")
    with detect_syncs() as report:
        example.run(inputs)
    assert report.findings == (), report.text()


DIFFERS_EACH_TIME = {
    "sample_a_token",
    "sample_without_a_check",
    "normal_with_a_tensor_of_deviations",
    "pickle_dump",  # the bytes name the storage
}
NEEDS_A_GPU = {
    "synchronize",
    "empty_the_cache",
    "cuda",
    "pinned_but_blocking",
    "copy_down_blocking",
    "pinned_upload",
    "pinned_read_back_for_later",
}
REPEATABLE = [e for e in (*WAITS, *CLEAN) if e.name not in DIFFERS_EACH_TIME | NEEDS_A_GPU]


@pytest.mark.parametrize("example", REPEATABLE, ids=lambda example: example.name)
def test_watching_changes_no_result(example: Example) -> None:
    plain = repr(example.run(Inputs.on("cpu")))
    inputs = Inputs.on("cpu")
    with detect_syncs():
        watched = example.run(inputs)
    assert repr(watched) == plain


def test_the_catalogue_is_as_wide_as_promised() -> None:
    assert len({example.name for example in WAITS}) == len(WAITS) >= 40
    assert len({example.name for example in CLEAN}) == len(CLEAN) >= 25
    for example in WAITS:
        assert len(example.marked_lines()) == 1, example.name
