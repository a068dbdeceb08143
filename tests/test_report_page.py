"""A gate's page: verdict first, whole in one file, the same bytes for the same numbers."""

import re
from pathlib import Path

import pytest
from PIL import Image

from bench.base.errors import UserError
from bench.base.verdict import Outcome, Verdict
from bench.report.blame import Blame
from bench.report.evidence import Evidence, Picture
from bench.report.origin import Origin
from bench.report.page import render_report
from bench.timing.samples import Samples
from tests.reports import FLIPS, samples, sweep, timed, verdict

ORIGIN = Origin(
    commit="ab" * 20,
    dirty=False,
    time="2026-01-01T00:00:00+00:00",
    machine={"cpu": "a processor", "cores": "2"},
    settings={"keep": "36"},
)
FULL = Evidence(
    timed=timed(),
    samples={"batch 8": samples(blocks=4)},
    flips=FLIPS,
    pictures=[Picture(Image.new("RGB", (336, 336), "red"), "hybrid: 18 of 60 tokens kept")],
    sweep=sweep(),
)

BLAME = Blame("bisect A B", "A is green")


def page(*verdicts: Verdict, evidence: Evidence = FULL, blame: Blame | None = None) -> str:
    return render_report(verdicts, title="latency", origin=ORIGIN, evidence=evidence, blame=blame)


@pytest.fixture(scope="module")
def full() -> str:
    return page(
        verdict(Outcome.FAIL),
        verdict(Outcome.PASS, "second"),
        blame=BLAME,
    )


def text(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html[html.index("<body>") :]))


def test_the_verdict_comes_first_and_the_command_that_finds_the_commit_last(full: str) -> None:
    words = text(full)
    assert words.strip().startswith("latency: FAIL")
    assert words.strip().endswith("Find the commit that did it A is green bisect A B")
    assert words.index("python -m bench latency --keep 36") < words.index("bisect A B")


def test_the_page_makes_no_request_and_runs_nothing(full: str) -> None:
    without_names = re.sub(r"http://www\.w3\.org/(2000/svg|1999/xlink)", "", full)
    assert not re.search(r"https?:|<script|<link|@import", without_names)
    targets = re.findall(r"url\(([^)]*)\)", full)
    assert targets and all(target.startswith(("data:", "#")) for target in targets)


def test_each_plot_is_there_and_says_what_it_shows(full: str) -> None:
    labels = re.findall(r'<svg class="plot" role="img" aria-label="([^"]*)"', full)
    assert labels == [
        "distribution of the calls' latency, batch 8",
        "questions lost and gained by category",
        "roofline with the stages on it, batch 8",
        "accuracy against kept visual tokens",
        "accuracy against latency",
    ]


def test_text_in_plots_is_text_and_colours_follow_the_page(full: str) -> None:
    plots = re.findall(r"<svg class=.*?</svg>", full, flags=re.DOTALL)
    for words in ("ms a token", "FLOPs a byte moved", "visual tokens in the last layers"):
        assert any(f">{words}" in plot for plot in plots), words
    assert not any(re.search(r"#[0-9a-f]{6}\b", plot) for plot in plots)


def test_no_two_elements_share_an_id(full: str) -> None:
    ids = re.findall(r'\bid="([^"]*)"', full)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]*)"', full)) <= set(ids)


def test_the_same_numbers_make_the_same_bytes(full: str) -> None:
    again = page(
        verdict(Outcome.FAIL),
        verdict(Outcome.PASS, "second"),
        blame=BLAME,
    )
    assert again == full


def test_what_a_gate_says_can_not_become_markup() -> None:
    evil = Verdict(
        gate="<script>", outcome=Outcome.FAIL, reason="<img src=x>", reproduce="</pre><b>"
    )
    html = page(evil, evidence=Evidence())
    assert not re.search(r"<script>|<img|</pre><b>", html)


def test_without_flips_there_is_a_sentence_and_no_empty_plot() -> None:
    html = page(verdict(Outcome.PASS), evidence=Evidence(flips=FLIPS[2:]))
    assert "No question flipped." in html
    assert "<svg" not in html


def test_timings_without_floors_have_no_roofline() -> None:
    bare = [type(row)(**{**vars(row), "floor": None}) for row in timed()]
    assert "roofline" not in page(verdict(Outcome.PASS), evidence=Evidence(timed=bare))


@pytest.mark.parametrize("seconds", [float("nan"), 0.0, -1.0])
def test_samples_that_are_no_durations_make_no_page(seconds: float) -> None:
    bad = Samples(setup={}, blocks=[{"dense": ({"answer": seconds}, {"answer": 1.0})}])
    with pytest.raises(UserError, match="no duration"):
        page(verdict(Outcome.PASS), evidence=Evidence(samples={"batch 1": bad}))


def test_calls_that_all_took_the_same_time_can_be_drawn() -> None:
    same = Samples(setup={}, blocks=[{"dense": ({"answer": 0.5}, {"answer": 0.5})}] * 4)
    assert "<svg" in page(verdict(Outcome.PASS), evidence=Evidence(samples={"": same}))


def test_an_unwritable_page_is_named(tmp_path: Path) -> None:
    from bench.report.write import write_report

    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="can't be written"):
        write_report(tmp_path / "file" / "below", [verdict(Outcome.PASS)], title="t")
