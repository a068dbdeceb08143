"""`pytest -p tests.demand`: a session in which no test passed is no pass.

`--collect-only`, `--setup-plan` and the like end with exit code 0, wherever they come from.
"""

import pytest

_PASSED = pytest.StashKey[int]()


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        return  # one of pytest-xdist's workers: all reports reach the process that started it
    config.stash[_PASSED] = 0
    config.pluginmanager.register(_Demand(config))


class _Demand:
    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._config.stash[_PASSED] += report.when == "call" and report.passed

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if exitstatus == pytest.ExitCode.OK and not self._config.stash[_PASSED]:
            print("\nno test was run to its end, so nothing was shown")
            session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED
