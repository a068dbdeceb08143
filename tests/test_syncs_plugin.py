"""The pytest plugin: a marker that forbids waits, a fixture that reports them."""

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

import bench.syncs.plugin

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


def test_the_package_registers_its_plugin() -> None:
    [found] = [e for e in entry_points(group="pytest11") if e.value == bench.syncs.plugin.__name__]
    assert found.load() is bench.syncs.plugin


def test_projects_that_do_not_use_the_plugin_do_not_pay_for_torch() -> None:
    program = "import sys, bench.syncs.plugin; print('torch' in sys.modules)"
    command = [sys.executable, "-c", program]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "False\n"


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


def test_a_failed_marker_shows_the_wait_and_nothing_of_pytests_inside(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        """
        import pytest
        import torch


        @pytest.mark.no_sync
        def test_one_wait():
            torch.ones(2).sum().item()
        """
    )
    ran = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    ran.assert_outcomes(failed=1)
    shown = ran.stdout.str()
    assert "torch.ones(2).sum().item()" in shown and "Tensor.item x1" in shown
    assert "Traceback" not in shown and "pyfunc_call" not in shown
    assert len(ran.outlines) <= 25
