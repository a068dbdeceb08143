"""The captions' gate: CIDEr as good as the reference of the same job, and above a floor."""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from bench.base.errors import UserError
from bench.base.verdict import Verdict, decide
from bench.evaluation.statistics.bootstrap import bootstrap_interval
from bench.evaluation.statistics.matching import matched_ids
from bench.evaluation.statistics.noninferior import difference_verdict, floor_verdict

FEWEST_IMAGES = 100  # below this the bootstrap's tails are too thin: nothing is decided


def caption_gate(
    *,
    per_image_cider: Mapping[int, float],
    reference_per_image: Mapping[int, float],
    margin: float | None,
    floor: float | None,
    reproduce: str,
    reference: str = "dense",
    gate: str = "captions",
) -> list[Verdict]:
    """Judges CIDEr by image: `{gate}/paired`, then `{gate}/floor`.

    per_image_cider, reference_per_image: image id -> CIDEr of its caption. Margin and floor are
        in the same unit (pycocoevalcap's own, where 1.0 is what VLMEvalKit prints as 100).

    Paired as `paired_gate` says. The floor is compared with the score itself. Either may be None:
    what it would judge is told, and UNSURE.

    Raises UserError as `paired_gate` does, and for a floor that is not positive.
    """
    if floor is not None and not (math.isfinite(floor) and floor >= 0):
        raise UserError(f"caption floor is {floor}: give the lowest acceptable CIDEr, 1.0")
    pair = paired_gate(
        per_image_cider=per_image_cider,
        reference_per_image=reference_per_image,
        margin=margin,
        reproduce=reproduce,
        reference=reference,
        gate=f"{gate}/paired",
    )
    scores = np.array(list(per_image_cider.values()))
    return [pair, _floor_verdict(scores, floor=floor, reproduce=reproduce, gate=f"{gate}/floor")]


def paired_gate(
    *,
    per_image_cider: Mapping[int, float],
    reference_per_image: Mapping[int, float],
    margin: float | None,
    reproduce: str,
    reference: str,
    gate: str,
) -> Verdict:
    """Judges CIDEr by image against a run of the same images: of this job, or a recorded one.

    Paired bootstrap over images: both runs are resampled together, and the corpus score is the
    mean of the images' scores. The document frequencies, which come from the references of the
    whole set, are held fixed, as in a run whose references do not change. PASS if the one-sided
    95% lower bound of the difference is above -margin, FAIL if the upper one is below it, else
    UNSURE.

    Raises UserError for empty runs, differing images, a score that is NaN, infinite or negative,
    or a margin that is not positive.
    """
    if margin is not None and not (math.isfinite(margin) and margin > 0):
        raise UserError(f"caption margin is {margin}: give the acceptable loss of CIDEr, 0.05")
    ids = matched_ids(per_image_cider, reference_per_image, unit="image")
    now = np.array([_checked(per_image_cider, i, "run") for i in ids])
    before = np.array([_checked(reference_per_image, i, "reference") for i in ids])
    return _paired_verdict(
        now - before, margin=margin, reproduce=reproduce, reference=reference, gate=gate
    )


def _checked(scores: Mapping[int, float], image: int, name: str) -> float:
    score = float(scores[image])
    if not math.isfinite(score) or score < 0:
        raise UserError(f"image {image} of the {name}: CIDEr is {score}; score its caption again")
    return score


def _paired_verdict(
    differences: NDArray[np.float64],
    *,
    margin: float | None,
    reproduce: str,
    reference: str,
    gate: str,
) -> Verdict:
    delta = float(differences.mean())
    low, high = bootstrap_interval(differences, 0.95)
    enough = len(differences) >= FEWEST_IMAGES
    against = 0.0 if margin is None else margin  # of none nothing is decided: it says so
    return difference_verdict(
        decide(passes=low > -against and enough, fails=high < -against and enough),
        difference=delta,
        interval=(low, high),
        margin=margin,
        unit="image",
        n=len(differences),
        score=(delta + against) * 2 * norm.ppf(0.95) / (high - low) if high > low else math.inf,
        told=(
            f"CIDEr {delta:+.4f} against {reference}, lower on {int((differences < 0).sum())},"
            f" higher on {int((differences > 0).sum())} of {len(differences)} images"
        ),
        reproduce=reproduce,
        gate=gate,
        numbers={"images": len(differences)},
        doubt="" if enough else f"too few images, evaluate {FEWEST_IMAGES} or more",
    )


def _floor_verdict(
    scores: NDArray[np.float64], *, floor: float | None, reproduce: str, gate: str
) -> Verdict:
    cider = float(scores.mean())
    return floor_verdict(
        score=cider,
        interval=bootstrap_interval(scores, 0.975),
        floor=floor,
        floor_said="" if floor is None else f"{floor:.4f}",
        told=f"CIDEr {cider:.4f} over {len(scores)} images",
        reproduce=reproduce,
        gate=gate,
        numbers={"images": len(scores)},
    )
