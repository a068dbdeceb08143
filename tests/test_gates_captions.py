import math

import numpy as np
import pytest
from pycocoevalcap.cider.cider_scorer import CiderScorer

from bench.base.errors import UserError
from bench.base.verdict import Outcome, Verdict
from bench.evaluation.comparison.side import load_side
from bench.evaluation.statistics.bootstrap import bootstrap_interval
from bench.gates.captions import FEWEST_IMAGES, caption_gate, paired_gate
from bench.tasks.captions.scores import score_captions
from tests.task_files import RECORDED, needs_recorded


def gate(
    now: dict[int, float],
    before: dict[int, float],
    *,
    margin: float | None = 0.05,
    floor: float | None = 0.5,
) -> tuple[Verdict, Verdict]:
    paired, absolute = caption_gate(
        per_image_cider=now,
        reference_per_image=before,
        margin=margin,
        floor=floor,
        reproduce="nox -s accuracy",
    )
    return paired, absolute


def scores(n: int, seed: int = 0) -> dict[int, float]:
    return dict(enumerate(np.random.default_rng(seed).gamma(2, 0.6, n).tolist()))


def less(run: dict[int, float], loss: float) -> dict[int, float]:
    return {image: max(0.0, score - loss) for image, score in run.items()}


def test_a_run_against_itself_passes() -> None:
    paired, absolute = gate(scores(200), scores(200))
    assert paired.outcome is Outcome.PASS
    assert paired.numbers["value"] == 0
    assert absolute.outcome is Outcome.PASS


@pytest.mark.parametrize("loss", [0.0, 0.8])
def test_what_has_neither_margin_nor_floor_is_told_and_unsure(loss: float) -> None:
    verdicts = gate(less(scores(200), loss), scores(200), margin=None, floor=None)
    assert {verdict.outcome for verdict in verdicts} == {Outcome.UNSURE}
    assert all("to judge it by" in verdict.reason for verdict in verdicts)
    assert not any("bound" in verdict.numbers for verdict in verdicts)


def test_a_loss_beyond_the_margin_fails_and_a_gain_passes() -> None:
    assert gate(less(scores(200), 0.1), scores(200))[0].outcome is Outcome.FAIL
    assert gate(scores(200), less(scores(200), 0.1))[0].outcome is Outcome.PASS


def test_unrelated_captions_of_few_images_are_unsure() -> None:
    paired, _ = gate(scores(100, seed=1), scores(100, seed=2))
    assert paired.outcome is Outcome.UNSURE
    assert "more images" in paired.reason


def test_a_handful_of_images_decides_nothing() -> None:
    few = FEWEST_IMAGES - 1
    same, _ = gate(scores(few), scores(few))
    worse, _ = gate(less(scores(few), 0.5), scores(few))
    assert same.outcome is worse.outcome is Outcome.UNSURE
    assert f"evaluate {FEWEST_IMAGES} or more" in same.reason


def test_the_same_scores_give_the_same_interval() -> None:
    first, _ = gate(less(scores(80), 0.01), scores(80, seed=3))
    second, _ = gate(less(scores(80), 0.01), scores(80, seed=3))
    assert first == second


ANIMALS = ("cat", "dog", "cow", "hen", "fox", "owl")
PLACES = ("on a mat", "in the sun", "by a tree")
TRUTH = {
    i: [f"a {ANIMALS[i % 6]} {PLACES[i % 3]}", f"one {ANIMALS[i % 6]} is {PLACES[i // 6]}"]
    for i in range(18)
}
BETTER = {i: truth[0] for i, truth in TRUTH.items()}
WORSE = {i: f"a {ANIMALS[i % 6]} in the sun" for i in TRUTH}


def resampled_cider(captions: dict[int, str], drawn: list[int], *, fixed: bool) -> float:
    """pycocoevalcap's CIDEr over the images `drawn`; `fixed`: words weighed by all images."""
    whole, part = CiderScorer(), CiderScorer()
    for image in TRUTH:
        whole += (captions[image], TRUTH[image])
    for image in drawn:
        part += (captions[image], TRUTH[image])
    counted = whole if fixed else part
    counted.compute_doc_freq()
    part.document_frequency = counted.document_frequency
    return float(np.mean(part.compute_cider()))  # as many images drawn as there are


def test_a_resample_scores_both_runs_on_the_same_images_with_words_weighed_by_all() -> None:
    (_, now), (_, before) = score_captions(TRUTH, WORSE), score_captions(TRUTH, BETTER)
    changes = np.array([now[i] - before[i] for i in TRUTH])
    moved = 0.0
    for drawn in np.random.default_rng(1).integers(18, size=(5, 18)).tolist():
        scored = {
            fixed: resampled_cider(WORSE, drawn, fixed=fixed)
            - resampled_cider(BETTER, drawn, fixed=fixed)
            for fixed in (True, False)
        }
        assert changes[drawn].mean() == pytest.approx(scored[True])
        moved = max(moved, abs(scored[True] - scored[False]))
    assert moved > 0.1  # weighing by the resample's own words would be another statistic


def test_the_interval_is_one_sided_and_follows_a_skew() -> None:
    values = np.random.default_rng(8).gamma(0.5, 1.0, 40)
    low, high = bootstrap_interval(values, 0.95)
    wider = bootstrap_interval(values, 0.975)
    assert wider[0] < low < values.mean() < high < wider[1]
    assert high - values.mean() > 1.2 * (values.mean() - low)
    assert bootstrap_interval(np.full(5, 3.25), 0.95) == (3.25, 3.25)


def test_a_loss_of_exactly_the_margin_passes_about_one_time_in_twenty() -> None:
    generator = np.random.default_rng(11)
    before = 3 + generator.gamma(2, 0.6, 100)
    passed = failed = 0
    for _ in range(400):
        # Most captions keep their score, some lose a lot, and the mean change is -0.1.
        change = np.where(generator.random(100) < 0.3, generator.normal(-1 / 3, 0.6, 100), 0.0)
        now = dict(enumerate((before + change).tolist()))
        paired, _ = gate(now, dict(enumerate(before.tolist())), margin=0.1)
        passed += paired.outcome is Outcome.PASS
        failed += paired.outcome is Outcome.FAIL
    assert 0.02 < passed / 400 < 0.10
    assert 0.02 < failed / 400 < 0.09


@needs_recorded
@pytest.mark.usefixtures("scored_once")
def test_recorded_captions_that_broke_err_as_seldom_as_stated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So many real captions became worthless that the loss is the margin; the others vary."""
    monkeypatch.setattr("bench.evaluation.statistics.bootstrap.RESAMPLES", 1000)
    [sheet] = (RECORDED / "hybrid").glob("*_COCO_VAL.xlsx")
    cider = np.array([*load_side(str(sheet)).values.values()])
    generator = np.random.default_rng(3)
    margin = 0.1
    broken = generator.random(len(cider)) < margin / cider.mean()
    changes = np.where(broken, -cider, generator.normal(0, 0.3, len(cider)))
    changes -= changes.mean() + margin
    outcomes = [
        paired_gate(
            per_image_cider=dict(enumerate(10 + drawn)),
            reference_per_image=dict.fromkeys(range(len(drawn)), 10.0),
            margin=margin,
            reproduce="-",
            reference="-",
            gate="-",
        ).outcome
        for drawn in generator.choice(changes, (400, 240))
    ]
    assert 0.02 < outcomes.count(Outcome.PASS) / 400 < 0.09
    assert 0.02 < outcomes.count(Outcome.FAIL) / 400 < 0.09


@pytest.mark.parametrize(
    ("now", "before", "message"),
    [
        ({}, {1: 1.0}, "run holds no images"),
        ({1: 1.0}, {1: 1.0, 2: 1.0}, "run lacks image 2"),
        ({1: math.nan}, {1: 1.0}, "image 1 of the run: CIDEr is nan"),
        ({1: 1.0}, {1: -0.5}, "image 1 of the reference: CIDEr is -0.5"),
    ],
)
def test_runs_that_cannot_be_compared_are_an_error(
    now: dict[int, float], before: dict[int, float], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        gate(now, before)


@pytest.mark.parametrize(("margin", "floor"), [(math.nan, 1.0), (0.0, 1.0), (0.1, math.nan)])
def test_settings_that_mean_nothing_are_an_error(margin: float, floor: float) -> None:
    with pytest.raises(UserError, match=r"caption (margin|floor) is"):
        gate(scores(60), scores(60), margin=margin, floor=floor)
