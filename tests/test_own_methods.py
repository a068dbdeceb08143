"""A user's own method: how it is loaded, what is said if it can't be, and that an edited one never
goes on with what it answered before."""

import re
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from bench.arms import own
from bench.arms.methods import described
from bench.arms.models import arm_config
from bench.arms.own import known, own_of
from bench.arms.own_files import imported
from bench.arms.profiles import FOLDER, load_profile
from bench.base.errors import UserError
from hybrid import Keep, hybridize
from tests.commands import Typed
from tests.llavas import random_llava
from tests.own_methods import LARGEST_KEYS, edited, mine

__all__ = ["mine"]
TINY = load_profile("tiny")
RUN = ["run", "--data", "tiny-mmbench", "--model", "tiny", "--limit", "2", "--keep", "9"]


def test_a_class_of_a_file_is_an_arm_by_its_name(mine: Path) -> None:
    assert known(f"{mine}:Mine") == "Mine" == known("Mine")
    config = arm_config("Mine", TINY, Keep(count=9))
    assert config is not None and config == arm_config(f"{mine}:Mine", TINY, Keep(count=9))
    assert hybridize(random_llava(), config).layer_slots == [36, 36, 9, 9, 9]
    loaded = own_of("Mine")
    assert loaded is not None and (loaded.where, loaded.paths) == (f"{mine}:Mine", (mine,))
    assert own_of("divprune") is None


def test_a_function_that_makes_one_is_taken_too(mine: Path) -> None:
    mine.write_text(f"{LARGEST_KEYS}\ndef late(keep):\n    return Mine(keep, 4)\n")
    config = arm_config(f"{mine}:late", TINY, Keep(count=9))
    assert config is not None
    assert hybridize(random_llava(), config).layer_slots == [36, 36, 36, 36, 9]


BROKEN = {  # the file, what is asked for, the line
    "not there": (None, "mine.py:Mine", r"mine\.py can't be read .*: give your method as FILE"),
    "no name": (LARGEST_KEYS, "mine.py", "'.*mine.py' names no method: give FILE.py:NAME"),
    "another name": (LARGEST_KEYS, "mine.py:Other", r"mine\.py holds no Other: it has Mine"),
    "no Python": ("def", "mine.py:Mine", r"mine\.py:1: this is no Python \(.*\): mend it"),
    "raises": (
        "import torch\nraise RuntimeError('no\\nweights')",
        "mine.py:Mine",
        r"mine\.py: importing it raises RuntimeError at mine\.py:2 \(no weights\): mend it",
    ),
    "ends": ("exit(3)", "mine.py:Mine", r"importing it raises SystemExit at mine\.py:1 \(3\)"),
    "lacks": ("import nowhere_at_all", "mine.py:Mine", "ModuleNotFoundError at mine.py:1"),
    "no callable": ("Mine = 3", "mine.py:Mine", "mine.py:Mine is a int: give a class or a func"),
    "no budget": (
        "class Mine:\n    pass",
        "mine.py:Mine",
        r"can't be made of a Keep alone \(Mine\(\) takes no arguments\): let it take one",
    ),
    "breaks": (
        "def Mine(keep):\n    return keep.many",
        "mine.py:Mine",
        "making it of keep=36 raises AttributeError at mine.py:2",
    ),
    "no stage": ("def Mine(keep):\n    return 3", "mine.py:Mine", "int is a stage of none of"),
    "taken": (f"{LARGEST_KEYS}\nhybrid = Mine", "mine.py:hybrid", "an arm that ships is called"),
    "no name of a folder": ("def é(keep):\n    return 3", "mine.py:é", "'é' can't be an arm's"),
}


def test_what_is_no_method_is_one_line(mine: Path) -> None:
    for case, (source, asked, line) in BROKEN.items():
        mine.unlink() if source is None else mine.write_text(source)
        with pytest.raises(UserError, match=line) as error:
            known(f"{mine.parent}/{asked}")
        assert "\n" not in str(error.value), case


def test_a_command_says_it_and_ends_with_2(mine: Path, typed: Typed) -> None:
    mine.write_text("Mine = 3")
    for line in (RUN, ["accuracy"], ["latency"], ["demo"], ["syncs"]):
        ended = typed(*line, "--method", f"{mine}:Mine")
        assert ended == (2, "", f"error: mine.py:Mine is a int: {own_line()}\n")
    ended = typed("run", "--data", "tiny-mmbench", "--model", "tiny_hybrid", "--arm", "divprune")
    assert ended.err == (
        "error: --model tiny_hybrid names an arm already: give tiny with --arm divprune\n"
    )


def test_what_a_method_raises_is_one_line_that_names_its_own(mine: Path, typed: Typed) -> None:
    edited(mine, "return read.of_image", "raise KeyError('x')\n        return read.of_image")
    for line in (RUN, ["demo"], ["syncs"], ["golden"], ["cost"]):
        own.forget()
        folder = [] if line == ["demo"] else ["--work-dir", str(mine.parent / line[0])]
        ended = typed(*line, "--method", f"{mine}:Mine", *folder)
        assert ended.code == 2 and "Traceback" not in ended.out + ended.err, line
        assert re.search(r"^error: Mine: .*raises KeyError at mine\.py:19 \('x'\)", ended.err, re.M)
    own.forget()
    assert own.raised_by_own(KeyError("x")) is None


def test_a_method_that_exits_ends_no_command_as_if_it_had_passed(mine: Path, typed: Typed) -> None:
    edited(mine, "return read.of_image", "raise SystemExit(0)\n        return read.of_image")
    lines = (RUN, ["demo"], ["syncs"], ["golden"], ["cost"], ["accuracy", "--limit", "2"])
    for line in lines:
        own.forget()
        folder = [] if line == ["demo"] else ["--work-dir", str(mine.parent / line[0])]
        ended = typed(*line, "--method", f"{mine}:Mine", *folder)
        assert ended.code == 2, line
        assert re.search(r"^error: Mine: .*raises SystemExit at mine\.py:19", ended.err, re.M), line


def own_line() -> str:
    return "give a class or a function that takes a Keep"


def test_two_of_one_name_are_refused(mine: Path) -> None:
    known(f"{mine}:Mine")
    other = mine.with_name("other.py")
    other.write_text(LARGEST_KEYS)
    with pytest.raises(UserError, match=r"other\.py:Mine and .*mine\.py:Mine are both called Mine"):
        known(f"{other}:Mine")


def test_a_budget_that_the_method_refuses_is_said(mine: Path) -> None:
    edited(
        mine,
        "    layer: int = 2\n",
        "    layer: int = 2\n\n    def __post_init__(self):\n"
        "        if self.keep.of(99) < 9:\n            raise ValueError('too few')\n",
    )
    with pytest.raises(UserError, match=r"Mine: making it of keep=3 raises ValueError .*too few"):
        arm_config(f"{mine}:Mine", TINY, Keep(count=3))


def test_an_edited_method_never_reuses_old_answers(mine: Path, typed: Typed) -> None:
    """The worst that could happen: a rule is changed, and the old one's answers are judged."""
    work = mine.parent / "work"
    command = [*RUN, "--method", f"{mine}:Mine", "--work-dir", str(work), "--reuse"]
    assert typed(*command).code == 0
    own.forget()
    assert typed(*command).code == 0  # the same file goes on
    edited(mine, ".mean(dim=1)", ".amax(dim=1)")
    for words in ([], ["--mode", "eval"]):
        ended = typed(*command, *words)
        assert ended.code == 2 and ended.out == ""
        assert "tiny_Mine/tiny-mmbench holds a run with another method.mine.py (sha" in ended.err
    edited(mine, ".amax(dim=1)", ".mean(dim=1)")
    assert typed(*command).code == 0


def test_what_the_file_imports_is_a_part_of_it(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(mine.parent))
    helper = mine.with_name("helper_of_mine.py")
    helper.write_text("from helper_of_helper import HALF\n")
    below = mine.with_name("helper_of_helper.py")
    below.write_text("import json\nHALF = 2\n")
    inside = "        import helper_of_mine, rich\n        return"
    mine.write_text(LARGEST_KEYS.replace("        return", inside))

    def files() -> dict[str, str]:
        own.forget()
        for name in ("helper_of_mine", "helper_of_helper"):
            sys.modules.pop(name, None)
        found = own_of(known(f"{mine}:Mine"))
        assert found is not None
        return dict(found.files)

    before = files()
    assert set(before) == {"mine.py", "helper_of_mine", "helper_of_helper", "rich", "torch"}
    assert before["rich"][0].isdigit()
    for path, name in ((mine, "mine.py"), (helper, helper.stem), (below, below.stem)):
        path.write_text(path.read_text() + "# edited\n")
        now = files()
        assert [key for key in now if now[key] != before[key]] == [name]
        before = now


def test_import_statements_are_read_wherever_they_stand() -> None:
    source = b"from . import a\nfrom ..b.c import d\ndef f():\n    import e.f as g\n"
    assert set(imported(source, "p.q")) == {
        "p",
        "p.q",
        "p.q.a",
        "p.b",
        "p.b.c",
        "p.b.c.d",
        "e",
        "e.f",
    }
    assert list(imported(b"from . import a", "")) == []


def test_an_entry_point_is_an_arm_and_its_package_a_part_of_it(
    mine: Path, monkeypatch: pytest.MonkeyPatch, typed: Typed
) -> None:
    monkeypatch.syspath_prepend(str(mine.parent))
    package = mine.with_name("their_package")
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "rule.py").write_text("from .scale import ONE\n" + LARGEST_KEYS.partition("\n\n")[2])
    (package / "scale.py").write_text("ONE = 1\n")
    points = {
        name: EntryPoint(name, value, own.GROUP)
        for name, value in (
            ("largest-keys", "their_package.rule:Mine"),
            ("dense", "their_package.rule:Mine"),
            ("gone", "their_package.rule:Gone"),
        )
    }
    monkeypatch.setattr(own, "installed", lambda: points)
    assert known("largest-keys") == "largest-keys"
    found = own_of("largest-keys")
    assert found is not None and found.where == "largest-keys"
    assert {"rule.py", "their_package.scale", "their_package"} <= set(found.files)
    assert arm_config("largest-keys", TINY, Keep(count=3)) is not None
    assert arm_config("dense", TINY, Keep()) is None  # what ships comes first
    with pytest.raises(UserError, match=r"gone of their_package\.rule .*AttributeError"):
        known("gone")
    del points["gone"]
    [listed] = [each for each in described() if each.name == "largest-keys"]
    assert (listed.place, listed.budget) == ("in front of layer 2", "tokens that stay")
    assert sum(each.name == "dense" for each in described()) == 0
    with pytest.raises(UserError, match=r"no arm 'largest-key': did you mean largest-keys\?"):
        known("largest-key")


def test_a_bound_on_a_method_of_one_s_own_is_a_key_of_the_profile(mine: Path) -> None:
    text = (FOLDER / "tiny.toml").read_text()
    profile = mine.with_name("my.toml")
    profile.write_text(f'{text}\n[gates.latency.batch-8."mine.py:Mine"]\nanswer = 0.7\n')
    bounds = load_profile(str(profile)).timing.bounds[8]
    assert bounds[f"{mine}:Mine"] == {"answer": 0.7}
    assert own.named(f"{mine}:Mine-to-off") == "Mine-to-off"
    profile.write_text(f"{text}\n[gates.latency.batch-8.Mime]\nanswer = 0.7\n")
    with pytest.raises(UserError, match=r'batch-8\.Mime is no setting: .*"mine\.py:Mine" in quo'):
        load_profile(str(profile))
