"""Every way to wait is found and pinned to its line; no clean idiom is accused."""

import numpy as np
import pytest
import torch

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
    plain = example.run(Inputs.on("cpu"))
    inputs = Inputs.on("cpu")
    with detect_syncs():
        watched = example.run(inputs)
    assert_alike(watched, plain)


def assert_alike(watched: object, plain: object) -> None:
    """The same kind of thing with the same values; of real numbers up to their dtype's rounding,
    since LAPACK sums in another order where memory is aligned otherwise."""
    assert type(watched) is type(plain)
    if isinstance(plain, tuple | list):
        assert isinstance(watched, tuple | list) and len(watched) == len(plain)
        for one, other in zip(watched, plain, strict=True):
            assert_alike(one, other)
    elif isinstance(plain, torch.Tensor | np.ndarray | float):
        torch.testing.assert_close(watched, plain, equal_nan=True)
    else:
        assert repr(watched) == repr(plain)


@pytest.mark.parametrize(
    "watched",
    [
        *(torch.tensor([1.0, 4.001]), torch.tensor([1, 4]), torch.tensor([[1.0, 4.0]])),
        *([1.0, 4.0], torch.tensor([1.0, 4.0], dtype=torch.float64), None),
    ],
    ids=repr,
)
def test_another_result_is_not_alike(watched: object) -> None:
    with pytest.raises(AssertionError):
        assert_alike(watched, torch.tensor([1.0, 4.0]))


def test_the_catalogue_is_as_wide_as_promised() -> None:
    assert len({example.name for example in WAITS}) == len(WAITS) >= 40
    assert len({example.name for example in CLEAN}) == len(CLEAN) >= 25
    for example in WAITS:
        assert len(example.marked_lines()) == 1, example.name
