"""The conditions of other machines: what is run, and what counts as green."""

import os

import pytest

from tests import elsewhere
from tests.elsewhere import CONDITIONS, TESTS, Condition, main, missing, play


@pytest.mark.parametrize("pattern", [*elsewhere.FLOATS, *elsewhere.PROCESSES])
def test_every_pattern_names_tests(pattern: str) -> None:
    assert list(TESTS.glob(f"test_{pattern}.py"))


def test_an_unknown_condition_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["avx3"]) == 2
    assert capsys.readouterr().err.startswith("no avx3: choose from default, avx2, ")


@pytest.mark.parametrize(
    ("reasons", "green", "code"),
    [
        ((None, None), (True, True), 0),
        ((None, None), (True, False), 1),
        (("no such", None), (True, True), 0),
        (("no such", None), (True, False), 1),
        (("no such", "nor this"), (True, True), 2),
    ],
)
def test_one_red_is_red_and_nothing_played_is_no_green(
    monkeypatch: pytest.MonkeyPatch,
    reasons: tuple[str | None, str | None],
    green: tuple[bool, bool],
    code: int,
) -> None:
    names = dict(zip(("default", "avx2"), zip(reasons, green, strict=True), strict=True))
    of = {id(CONDITIONS[name]): outcome for name, outcome in names.items()}
    monkeypatch.setattr(elsewhere, "missing", lambda condition: of[id(condition)][0])
    monkeypatch.setattr(elsewhere, "play", lambda condition: of[id(condition)][1])
    assert main(["default", "avx2"]) == code


def test_an_instruction_set_that_is_not_there_is_not_played() -> None:
    reason = missing(Condition(capability="of next year"))
    assert reason is not None and reason.startswith("this machine has ")


@pytest.mark.parametrize(("exits", "green"), [(0, True), (1, False), (5, False)])
def test_what_pytest_says_counts(monkeypatch: pytest.MonkeyPatch, exits: int, green: bool) -> None:
    """5 is "no test was collected"."""
    spinning: list[int] = []

    class Popen:
        def __init__(self, command: list[str]) -> None:
            spinning.append(len(spinning))

        def kill(self) -> None:
            spinning.pop()

        def wait(self) -> None: ...

    class Ran:
        returncode = exits

    def run(command: list[str], env: dict[str, str], check: bool) -> Ran:
        assert env["A"] == "b" and command[-2:] == ["-p", "tests.without_onednn"]
        assert len(spinning) == os.cpu_count()
        return Ran()

    monkeypatch.setattr("subprocess.Popen", Popen)
    monkeypatch.setattr("subprocess.run", run)
    plugins = CONDITIONS["without-onednn"].plugins
    assert play(Condition(environment={"A": "b"}, plugins=plugins, spinning=True)) is green
    assert not spinning
