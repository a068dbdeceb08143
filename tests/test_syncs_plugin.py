"""The pytest plugin: a marker that forbids waits, a fixture that reports them."""

import pytest

pytest_plugins = ["pytester"]

TESTS = """
import pytest
import torch


@pytest.fixture
def two():
    return torch.ones(2).sum().item()


@pytest.mark.no_sync
def test_marked_and_waiting():
    torch.ones(2).sum().item()


@pytest.mark.no_sync
def test_marked_and_failing_by_itself():
    assert torch.ones(2).sum().item() == 7


@pytest.mark.no_sync
def test_marked_and_clean(two):
    torch.ones(2).sum()
    assert two == 2


def test_unmarked_and_waiting():
    torch.ones(2).sum().item()


def test_asking_what_waited(sync_report):
    torch.ones(2).tolist()
    assert sync_report.count == 1
    assert sync_report.findings[0].operator == "Tensor.tolist"


def test_after_the_others():
    assert "item" not in vars(torch.Tensor)
"""


def test_marker_and_fixture(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TESTS)
    result = pytester.runpytest_inprocess("-p", "bench.syncs.plugin", "--strict-markers", "-v")
    result.assert_outcomes(failed=2, passed=4)
    result.stdout.fnmatch_lines_random(
        [
            "*test_marked_and_waiting FAILED*",
            "*test_marked_and_failing_by_itself FAILED*",
            "*Tensor.item*",
            "*torch.ones(2).sum().item()*",
            "*assert 2.0 == 7*",
        ]
    )
