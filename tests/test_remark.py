"""A remark is said once by each command, however many run in one process."""

import pytest

from bench.base.remark import remark, remarks
from bench.cli import main


def test_each_command_of_a_process_says_its_remark_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def command() -> None:
        remark("three beams")
        remark("three beams")

    monkeypatch.setattr("bench.cli.app", command)
    for _ in range(2):
        main()
        assert capsys.readouterr().err == "note: three beams\n"


def test_a_silent_one_says_nothing_and_leaves_the_others_as_they_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with remarks():
        remark("before")
        with remarks(silent=True):
            remark("inside")
        remark("before")
        remark("after")
    assert capsys.readouterr().err == "note: before\nnote: after\n"


def test_of_several_ranks_the_first_speaks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", "1")
    remark("three beams")
    assert capsys.readouterr().err == ""
