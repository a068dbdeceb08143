"""The project's own tests as gates: collected once, run in each child until the first red one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import bench
from bench.base.errors import UserError

ROOT = Path(bench.__file__).parents[1]
NAMED = 120  # characters of a test's name, whose parameters may be long
OPTIONS = (
    *("-p", "no:terminal", "-p", "no:cacheprovider", "-p", "no:benchmark", "--capture=no"),
    *("-o", "addopts=", "-m", "not speed", "--hypothesis-seed=0"),
)


@dataclass(frozen=True)
class Red:
    """Why a gate is red; `crash` if by an exception that is no assertion."""

    reason: str
    crash: bool = False


@dataclass(frozen=True)
class Selection:
    """Tests of one file: those named, or all but those left out."""

    file: str
    only: tuple[str, ...] = ()
    without: tuple[str, ...] = ()


class Tests:
    """Tests that pytest has collected; given to the work of `with_tests`."""

    def __init__(self, items: Sequence[pytest.Item]) -> None:
        self._items = items
        self._failed: list[pytest.TestReport] = []

    def first_red(self, selections: Sequence[Selection]) -> Red | None:
        """Run what is selected, in that order, until a test fails."""
        items = [item for selection in selections for item in self.of(selection)]
        self._failed.clear()
        for item, following in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if self._failed:
                return _red(self._failed[0])
        return None

    def of(self, selection: Selection) -> list[pytest.Item]:
        """The selected tests.

        Raises:
            UserError: one that is named is gone: a gate must not pass on no data.
        """
        here = [item for item in self._items if item.path.name == selection.file]
        names = {_name(item) for item in here}
        for name in (*selection.only, *selection.without):
            if name not in names:
                raise UserError(
                    f"tests/{selection.file} has no {name}: say in bench/trust/mutants/gates.py"
                    " what replaces it"
                )
        chosen = [
            item
            for item in here
            if _name(item) not in selection.without
            and (not selection.only or _name(item) in selection.only)
        ]
        if not chosen:
            raise UserError(f"tests/{selection.file} holds no tests: nothing would be judged")
        return chosen

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """pytest's hook."""
        if report.failed:
            self._failed.append(report)


def with_tests(files: Sequence[str], work: Callable[[Tests], None]) -> None:
    """Collect tests/`files`, then call `work` in place of running them.

    Raises:
        UserError: this is no checkout, or a file cannot be collected. What `work` raises.
    """
    missing = [file for file in files if not (ROOT / "tests" / file).is_file()]
    if missing:
        raise UserError(f"tests/{missing[0]} is not there: mutants are judged in a checkout")
    plugin = _InPlaceOfRunning(work)
    arguments = [*OPTIONS, f"--rootdir={ROOT}", "-c", str(ROOT / "pyproject.toml")]
    code = pytest.main([*arguments, *(str(ROOT / "tests" / f) for f in files)], plugins=[plugin])
    if plugin.error is not None:
        raise plugin.error
    if not plugin.ran:
        what = ", ".join(plugin.broken) or f"tests: it ended with {int(code)}"
        raise UserError(f"pytest could not collect {what}; run pytest on it")


class _InPlaceOfRunning:
    def __init__(self, work: Callable[[Tests], None]) -> None:
        self._work = work
        self.ran = False
        self.broken: list[str] = []
        self.error: BaseException | None = None

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.broken.append(report.nodeid)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if self.broken:
            return True
        tests = Tests(session.items)
        session.config.pluginmanager.register(tests)
        self.ran = True
        try:
            self._work(tests)
        except BaseException as error:  # pytest would report it as its own failure
            self.error = error
        return True


def _name(item: pytest.Item) -> str:
    return str(getattr(item, "originalname", item.name))


def _red(report: pytest.TestReport) -> Red:
    test = report.nodeid.rpartition("/")[2]
    test = f"{test[:NAMED]}..." if len(test) > NAMED else test
    place: Any = getattr(report.longrepr, "reprcrash", None)
    message = "" if place is None else str(place.message).strip().partition("\n")[0]
    if not message or message.startswith(("AssertionError", "assert ", "Failed: ")):
        return Red(test)
    return Red(f"{test}: {message[:200]}", crash=True)
