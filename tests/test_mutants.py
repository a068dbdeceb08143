"""Every planted defect still applies, and a session notices one that gets away."""

import re
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import cli
from bench.base.errors import UserError
from bench.base.verdict import Outcome
from bench.trust.mutants import mutant as catalogue
from bench.trust.mutants import template
from bench.trust.mutants.forks import forked
from bench.trust.mutants.gates import GOLDEN, HANG, Gate, select_gates
from bench.trust.mutants.mutant import MADE, Mutant, Named, load_mutants
from bench.trust.mutants.planting import change_of
from bench.trust.mutants.results import markdown, unexpected, verdicts_of
from bench.trust.mutants.session import Result, run_clean, run_mutants
from bench.trust.mutants.template import add_mutant
from bench.trust.mutants.tests import Red
from bench.trust.mutants.write import write_session
from hybrid.config import Keep

GATES = {"equivalence", GOLDEN, "syncs", "cost", "accuracy", "harness", HANG}
Look = Callable[[Any], Red | None]


@pytest.mark.parametrize("named", load_mutants(), ids=lambda named: named.name)
def test_a_mutant_applies_to_the_code_as_it_is(named: Named) -> None:
    change_of(named)
    assert named.mutant.source and {*named.mutant.expected} <= GATES
    assert named.mutant.expected


def test_the_documented_table_holds_every_mutant_and_no_other() -> None:
    text = (Path(__file__).parents[1] / "docs" / "mutants.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\| ([a-z]+/[a-z0-9-]+) \|", text, re.MULTILINE)
    assert sorted(documented) == sorted(named.name for named in load_mutants())


@pytest.mark.parametrize(
    ("document", "count"),
    [
        ("README.md", r"(\d+) planted defects"),
        ("README.md", r"plants (\d+) defects"),
        ("CHANGELOG.md", r"`mutants`: (\d+) planted defects"),
        ("docs/mutants.md", r"All (\d+) mutants"),
    ],
)
def test_documents_count_the_mutants_that_there_are(document: str, count: str) -> None:
    text = (Path(__file__).parents[1] / document).read_text(encoding="utf-8")
    assert re.findall(count, text) == [str(len(load_mutants()))]


def test_there_are_the_published_defects_and_thirty_more() -> None:
    sources = [named.mutant.source for named in load_mutants()]
    assert sum(source == MADE for source in sources) >= 30
    assert sum(source != MADE for source in sources) >= 22


KEEP = Mutant(
    target="hybrid.config:Keep.of",
    old="min(self.count, tokens)",
    new="max(self.count, tokens)",
    source=MADE,
    expected=("equivalence",),
)


def named(family: Any = "model", name: str = "keep", **changes: Any) -> Named:
    return Named(
        name=f"{family}/{name}",
        family=family,
        what="keeps too many",
        mutant=replace(KEEP, **changes),
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"old": "min(self.count, patches)"}, "occurs 0 times in hybrid.config:Keep.of, not 1"),
        ({"old": "return", "new": "yield"}, "occurs 3 times"),
        ({"count": 2}, "occurs 1 times in hybrid.config:Keep.of, not 2"),
        ({"target": "hybrid.config:Keep.off"}, "there is no function hybrid.config:Keep.off"),
        ({"target": "hybrid.gone:f"}, "there is no function hybrid.gone:f"),
        ({"target": "hybrid.model:keep_top"}, "there is no function hybrid.model:keep_top"),
        ({"new": "min(self.count"}, "its new text is no Python"),
        ({"new": "min(self.count, gone)"}, "asks for gone, which hybrid.config does not have"),
        ({"new": KEEP.old}, "changes nothing"),
    ],
)
def test_a_mutant_that_does_not_apply_is_an_error(change: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match="mutant model/keep") as error:
        change_of(named(**change))
    assert says in str(error.value)


def keeps_five_of_nine(_: Any) -> Red | None:
    return None if Keep(count=5).of(9) == 5 else Red("kept otherwise")


def always_green(_: Any) -> Red | None:
    return None


def gate(name: str, look: Look) -> Gate:
    return Gate(name, ("model",), look)


def session(
    folder: Path, mutants: list[Named], *gates: tuple[str, Look], jobs: int = 2
) -> list[Result]:
    return run_mutants(mutants, [gate(*g) for g in gates], folder=folder, jobs=jobs)


def test_a_caught_mutant_says_by_what_and_leaves_this_process_as_it_was(tmp_path: Path) -> None:
    mutants = [named(), named(name="harmless", new="min(tokens, self.count)")]
    caught, away = session(tmp_path, mutants, ("cost", always_green), ("sizes", keeps_five_of_nine))
    assert caught.reds == {"sizes": Red("kept otherwise")}
    assert away.caught_by is None
    assert Keep(count=5).of(9) == 5


def test_one_that_gets_away_makes_the_session_red_by_name(tmp_path: Path) -> None:
    results = session(tmp_path, [named(), named(name="other")], ("cost", always_green))
    caught, share = verdicts_of(results, reproduce="nox -s mutants")
    assert caught.outcome is share.outcome is Outcome.FAIL
    assert caught.reason == "2 of 2 got away: model/keep, model/other"


def test_goldens_do_not_count_as_a_witness_and_are_looked_behind(tmp_path: Path) -> None:
    gates = (GOLDEN, keeps_five_of_nine), ("accuracy", always_green)
    results = session(tmp_path, [named()], *gates)
    caught, share = verdicts_of(results, reproduce="nox -s mutants")
    assert (caught.outcome, share.outcome) == (Outcome.PASS, Outcome.FAIL)
    assert share.reason.endswith("by goldens alone model/keep")
    both = session(tmp_path, [named()], (GOLDEN, keeps_five_of_nine), ("cost", keeps_five_of_nine))
    assert list(both[0].reds) == [GOLDEN, "cost"]
    assert [v.outcome for v in verdicts_of(both, reproduce="nox")] == [Outcome.PASS] * 2


def test_four_of_five_without_goldens_are_enough() -> None:
    seen = Result(named(), {"equivalence": Red("x")})
    golden = Result(named(), {GOLDEN: Red("x")})
    for results, outcome in (
        ([seen] * 4 + [golden], Outcome.PASS),
        ([seen] * 3 + [golden], Outcome.FAIL),
    ):
        assert verdicts_of(results, reproduce="nox")[1].outcome is outcome


def test_what_a_gate_raises_is_red_and_shown(tmp_path: Path) -> None:
    def breaks(_: Any) -> Red | None:
        raise RuntimeError(f"index {Keep(count=5).of(9)} out of range\nand more")

    [result] = session(tmp_path, [named()], ("cost", breaks))
    assert result.reds == {"cost": Red("RuntimeError: index 9 out of range", crash=True)}
    assert "cost (error)" in markdown([result], "mutants")


def test_a_session_without_work_is_an_error_and_no_pass(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no mutant was selected"):
        session(tmp_path, [], ("cost", always_green))
    with pytest.raises(UserError, match="every gate that judges waits/keep is switched off"):
        session(tmp_path, [named("waits")], ("cost", always_green))
    with pytest.raises(UserError, match="every gate is switched off"):
        select_gates([gate("cost", always_green)], ["cost"])
    with pytest.raises(UserError, match="--without costs: there is no such gate, only cost"):
        select_gates([gate("cost", always_green)], ["costs"])
    with pytest.raises(UserError, match="no mutant 'model/none'"):
        load_mutants(["model/none"])


def test_red_on_the_unmutated_code_ends_the_session(tmp_path: Path) -> None:
    gates = [gate("cost", lambda _: Red("one launch more"))]
    with pytest.raises(UserError, match="unmutated code is red in cost, run 1: one launch more"):
        run_clean(gates, folder=tmp_path, jobs=1)


def test_running_out_of_time_counts_only_where_that_is_stated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.trust.mutants.session.CHILD_LIMIT_S", 0.3)

    def hangs(_: Any) -> Red | None:
        while Keep(count=5).of(9) == 9:
            pass
        return None

    stated = named(name="stated", expected=(HANG,))
    away, caught = session(tmp_path, [named(), stated], ("cost", hangs))
    assert away.caught_by is None
    assert caught.caught_by == HANG


def test_who_is_late_among_others_is_looked_at_again_alone_and_with_patience(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.trust.mutants.session.CHILD_LIMIT_S", 1.0)
    began = tmp_path / "began"

    def late_the_first_time(_: Any) -> Red | None:
        if not began.exists():
            began.touch()
            time.sleep(30)
        return Red("seen")

    late, in_time = session(tmp_path, [named(), named(name="other")], ("cost", late_the_first_time))
    assert late.caught_by == in_time.caught_by == "cost"
    began.unlink()
    assert run_clean(
        [gate("cost", lambda _: late_the_first_time(_) and None)], folder=tmp_path, jobs=1
    )


def test_a_child_that_dies_is_no_verdict(tmp_path: Path) -> None:
    def dies(_: Any) -> Red | None:
        raise SystemExit(3)

    with pytest.raises(UserError, match="ended without a verdict"):
        session(tmp_path, [named()], ("cost", dies))


def test_children_are_as_many_as_asked_for_and_all_end(tmp_path: Path) -> None:
    work = [lambda i=i: i * i for i in range(5)]
    logs = [tmp_path / str(i) for i in range(5)]
    ended = dict(forked(work, jobs=2, limit_s=30, logs=logs))
    assert {position: e.value for position, e in ended.items()} == {i: i * i for i in range(5)}


def test_a_mutant_caught_elsewhere_than_expected_is_named() -> None:
    result = Result(named(), {"cost": Red("x")})
    assert unexpected([result]) == ["model/keep expects equivalence, was caught by cost"]
    assert unexpected([Result(named(), {"equivalence": Red("x")}), Result(named())]) == []


def test_the_page_names_who_got_away_and_needs_nothing_else(tmp_path: Path) -> None:
    results = [Result(named(what := "model"), {"cost": Red("a < b")}), Result(named(name="away"))]
    verdicts = verdicts_of(results, reproduce="nox -s mutants")
    page = write_session(tmp_path, results, verdicts, title=f"2 {what} mutants").read_text()
    assert "a &lt; b" in page and '<td class="away">got away</td>' in page
    assert "http" not in page.replace("http-equiv", "")
    assert (tmp_path / "mutants.md").read_text().count("\n| ") == 4


def test_a_new_mutant_starts_from_a_template_that_does_not_apply_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(template, "folder_of", lambda family: tmp_path)
    path = add_mutant("waits/reads-the-size")
    assert path == tmp_path / "reads_the_size.py"
    scope: dict[str, Any] = {}
    exec(compile(path.read_text(), str(path), "exec"), scope)
    assert scope["MUTANT"].expected == ("syncs",)
    fresh = Named(
        name="waits/reads-the-size", family="waits", what=scope["__doc__"], mutant=scope["MUTANT"]
    )
    with pytest.raises(UserError, match="no longer applies: there is no function"):
        change_of(fresh)
    with pytest.raises(UserError, match="is there already"):
        add_mutant("waits/reads-the-size")


@pytest.mark.parametrize("name", ["reads", "speed/reads", "waits/", "waits/Reads", "waits/a_b"])
def test_a_new_mutant_needs_a_family_and_a_plain_name(name: str) -> None:
    with pytest.raises(UserError, match="give family/name-in-small-letters"):
        add_mutant(name)


def test_a_file_without_a_mutant_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "_files", lambda family: [Path("__init__.py")])
    with pytest.raises(UserError, match="needs a docstring and MUTANT"):
        load_mutants()


def test_without_pytest_the_command_says_so_in_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in ("command", "gates", "tests"):
        monkeypatch.delitem(sys.modules, f"bench.trust.mutants.{module}", raising=False)
    monkeypatch.setitem(sys.modules, "pytest", None)
    monkeypatch.setattr(sys, "argv", ["bench", "mutants", "--only", "model/scale-forgotten"])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "pytest is missing" in line
