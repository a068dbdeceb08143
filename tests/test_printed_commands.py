"""What a red gate prints runs as it stands: it is parsed here by the command line's own parser."""

import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer.main

from bench.arms.profiles import FOLDER
from bench.base.shell import shell_line
from bench.base.verdict import Outcome, Verdict
from bench.cli import app
from bench.cli.options import command_line, given_options
from bench.report.blame import blame
from bench.report.origin import Origin

BAD = Verdict(gate="a", outcome=Outcome.FAIL, reason="worse", reproduce="-")
ORIGIN = Origin(commit="b" * 40, dirty=False, time="2026-01-01T00:00:00+00:00", machine={"a": "b"})
QUALITY = [
    [],
    ["--profile", "llava-1.5-7b", "--full", "--dtype", "bfloat16"],
    ["--keep", "0.7", "--thresholds", "72out", "--arm", "random", "--limit", "4"],
    ["--prompt", "llava", "--caption-prompt", "one-sentence", "--matcher", "lmms-2024"],
    ["--batch-size=3", "--against", "some runs/tiny's", "--reuse", "--verbose"],
    ["--profile", "my 'own' $HOME;.toml", "--work-dir", "out dir"],
    ["--profile", "a\nb\x1b[2J'\\\u202e.toml", "--against=-früher", "--matcher=-x"],
]
SPEED = [
    [],
    ["--profile", "my 'own' $HOME;.toml", "--weights", "random", "--budget", "9"],
    ["--keep=none", "--smallest-effect", "0.03", "--against", "main", "--dtype", "float16"],
    ["--full", "--reuse", "--history", "--thresholds", "72out"],
]


def shell_words(command: str) -> list[str]:
    """What a shell makes of a printed command."""
    assert command.isprintable()
    ran = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {command}"],
        env={"LC_ALL": "C"},
        capture_output=True,
        check=True,
    )
    return [os.fsdecode(word) for word in ran.stdout.split(b"\0")[:-1]]


@pytest.mark.parametrize(
    "word",
    [
        *("", "-", "--keep=3", "a b", "it's", 'say "x"', "$HOME", "`id`", "a;b", "<x>", "#x", "~"),
        *(
            "a\nb",
            "\n",
            "\x1b[31mred",
            "\ttab'\\ \r",
            "\\n",
            "übergroß",
            "图",
            "\u202eabc",
            "\u2028",
        ),
        *("\u202eabc", "\u2028", "\udcff\n", "\U0001f600\u200d", "!!", "{a,b}", "*", "\x7f1"),
    ],
    ids=ascii,
)
def test_any_word_survives_the_shell_in_one_line(word: str) -> None:
    assert shell_words(shell_line(["--x", word, word * 2])) == ["--x", word, word * 2]


def parsed(arguments: list[str]) -> Any:
    """A command's context, without running it."""
    group: Any = typer.main.get_command(app)
    outer = group.make_context("bench", [arguments[0], "--help"], resilient_parsing=True)
    command = group.get_command(outer, arguments[0])
    return command.make_context(arguments[0], list(arguments[1:]))


def asked(context: Any) -> dict[str, Any]:
    """What decides a verdict; paths in full."""
    found = dict(context.params)
    for name in ("work_dir", "reuse", "verbose", "history"):
        found.pop(name, None)
    if str(found["profile"]).endswith(".toml"):
        found["profile"] = str(Path(found["profile"]).absolute())
    if isinstance(found["against"], Path):
        found["against"] = found["against"].absolute()
    return found


@pytest.mark.parametrize(
    ("gate", "command", "options"),
    [("accuracy", "accuracy", options) for options in QUALITY]
    + [("latency", "latency", options) for options in SPEED],
)
def test_the_bisect_command_asks_the_gate_the_same(
    gate: str, command: str, options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FASTV_K", raising=False)
    given = parsed([command, *options])
    without = ("against",) if gate == "latency" else ()
    found = blame(
        gate, ORIGIN, [BAD], options=given_options(given, without), against="main", history=None
    )
    assert found is not None
    words = shell_words(found.command)
    assert words[:4] == ["python", "-m", "bench", "bisect"]
    search = parsed(words[3:])
    assert (search.params["good"], search.params["gate"]) == ("main", gate)
    again, before = asked(parsed([command, *(search.params["options"] or [])])), asked(given)
    if gate == "latency":  # bisect gives it the good commit
        before["against"] = None
    assert again == before


def test_fastv_k_is_asked_for_by_bisect_and_by_reproduce(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTV_K", "0.7")
    assert given_options(parsed(["accuracy"])) == ["--keep", "0.7"]
    assert given_options(parsed(["accuracy", "--keep", "9"])) == ["--keep", "9"]
    monkeypatch.setattr("sys.argv", ["bench", "accuracy", "--profile", "it's mine.toml"])
    assert shlex.split(command_line()) == [
        *("FASTV_K=0.7", "python", "-m", "bench", "accuracy", "--profile", "it's mine.toml")
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "--data", "tiny-mmbench", "--model", "tiny"), "tiny keeps every visual token"),
        (("run", "--data", "tiny-mmbench", "--model", "tiny_dymu"), "tiny_dymu keeps every"),
        (("accuracy", "--arm", "off"), "tiny_off keeps every visual token"),
        (("demo", "--model", "tiny_dymu"), "did you mean tiny_hybrid?"),
        (("syncs", "--model", "tiny"), "tiny keeps every visual token"),
    ],
)
def test_an_option_that_the_arm_cannot_heed_is_refused(
    arguments: tuple[str, ...],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert message in refused([*arguments, "--keep", "36"], monkeypatch, capsys)


@pytest.mark.parametrize("model", ["tiny", "tiny_fastv", "tiny_off"])
def test_thresholds_are_refused_where_nothing_merges(
    model: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["run", "--data", "tiny-mmbench", "--model", model, "--thresholds", "72out"]
    assert f"{model} merges nothing" in refused(arguments, monkeypatch, capsys)


def test_run_takes_the_models_of_a_profile_of_one_s_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = tmp_path / "my own.toml"
    profile.write_text((FOLDER / "tiny.toml").read_text().replace('names = "tiny"', 'names = "me"'))
    given = ["--data", "tiny-mmbench", "--limit", "1", "--work-dir", str(tmp_path / "out")]
    arguments = ["run", *given, "--profile", str(profile), "--model"]
    assert "names start with me" in refused([*arguments, "tiny_hybrid"], monkeypatch, capsys)
    from bench.cli import main

    monkeypatch.setattr("sys.argv", ["bench", *arguments, "me_hybrid"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    assert (tmp_path / "out" / "me_hybrid" / "tiny-mmbench" / "scores.json").is_file()


def refused(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    from bench.cli import main

    monkeypatch.setattr("sys.argv", ["bench", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    told = capsys.readouterr().err.strip()
    assert told.count("\n") == 0 and told.startswith("error: ")
    return told


def test_bisect_s_parser_refuses_what_is_no_option() -> None:
    """The check above can fail: the parser is the real one."""
    with pytest.raises(Exception, match="subsets"):
        parsed(["accuracy", "--subsets", "mmbench-300"])
