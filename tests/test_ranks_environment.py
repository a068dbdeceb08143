"""Variables of torchrun that are set in part, or to nonsense: one line, nothing is loaded."""

from typing import NoReturn

import pytest

from bench.base.errors import UserError
from bench.cli import main
from bench.evaluation.runs.ranks import joined, world_size

NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
WHOLE = {"RANK": "1", "WORLD_SIZE": "4", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}


@pytest.fixture(autouse=True)
def without_any(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*NAMES, "TORCHELASTIC_RESTART_COUNT"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"RANK": "0"}, "WORLD_SIZE is not set"),
        ({"WORLD_SIZE": "4"}, "RANK is not set"),
        ({"RANK": "0", "WORLD_SIZE": ""}, "WORLD_SIZE=''"),
        ({"RANK": "", "WORLD_SIZE": "4"}, "RANK=''"),
        (WHOLE | {"RANK": "7"}, "RANK=7 is no rank of WORLD_SIZE=4"),
        (WHOLE | {"RANK": "-1"}, "RANK='-1'"),
        (WHOLE | {"WORLD_SIZE": "four"}, "WORLD_SIZE='four'"),
        (WHOLE | {"WORLD_SIZE": "0", "RANK": "0"}, "WORLD_SIZE='0'"),
        (WHOLE | {"RANK": "1.0"}, "RANK='1.0'"),
        (WHOLE | {"LOCAL_RANK": "gpu"}, "LOCAL_RANK='gpu'"),
        (WHOLE | {"MASTER_ADDR": ""}, "MASTER_ADDR is not"),
        (WHOLE | {"MASTER_PORT": "http"}, "MASTER_PORT='http'"),
        (WHOLE | {"MASTER_PORT": "65536"}, "MASTER_PORT='65536' is more than 65535"),
    ],
)
def test_what_is_set_in_part_is_named(
    given: dict[str, str], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=named) as raised, joined():
        pass
    assert "torchrun" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_what_torchrun_sets_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    assert world_size() == 1
    for name, value in WHOLE.items():
        monkeypatch.setenv(name, value)
    assert world_size() == 4


@pytest.mark.parametrize("command", ["gate", "accuracy", "latency", "sweep", "demo"])
@pytest.mark.parametrize("given", [{"RANK": "0"}, WHOLE], ids=["in part", "all"])
def test_what_runs_alone_looks_at_them_before_it_loads(
    command: str,
    given: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def never(*args: object, **options: object) -> NoReturn:
        raise AssertionError("a profile was loaded")

    monkeypatch.setattr("bench.arms.profiles.load_profile", never)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.argv", ["bench", command])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    error = capsys.readouterr().err
    assert "torchrun" in error
    assert error.count("\n") == 1
