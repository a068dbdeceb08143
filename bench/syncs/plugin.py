"""pytest: `@pytest.mark.no_sync` fails a test that waits, the fixture `sync_report` lets it look.

    @pytest.mark.no_sync
    def test_prefill(model, inputs):
        model.prefill(inputs)

    def test_read_back(model, inputs, sync_report):
        model.generate(inputs)
        assert sync_report.count == 1

The marker watches the test function itself, not its fixtures; it takes the arguments of
`forbid_syncs`, such as `device="cuda"`.

pytest loads this in every project of its environment, so torch is imported where it is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from bench.syncs.report import Report


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "no_sync(device='cpu', stack=False): fail if the host waits for the device"
    )


@pytest.hookimpl(hookwrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    marker = pyfuncitem.get_closest_marker("no_sync")
    if marker is None:
        yield
        return
    from bench.syncs.detector import detect_syncs

    with detect_syncs(**marker.kwargs) as report:
        outcome: Any = yield
    if report.count and outcome.excinfo is None:
        # Without a traceback: it would show pytest's lines, and the report names the test's own.
        outcome.force_exception(pytest.fail.Exception(report.text(), pytrace=False))


@pytest.fixture
def sync_report() -> Iterator[Report]:
    """The waits of the test so far, its other fixtures included if they come later."""
    from bench.syncs.detector import detect_syncs

    with detect_syncs() as report:
        yield report
