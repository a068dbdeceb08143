"""What captions are worth: BLEU, ROUGE_L, CIDEr, and METEOR and SPICE where asked."""

import contextlib
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bench.tasks.captions.meteor import meteor
from bench.tasks.captions.spice import spice
from bench.tasks.captions.tokenise import DEFAULT_TOKENISER, Tokeniser, ptb_tokenise
from bench.tasks.task import Metric, standard_error

BLEU_ORDER = 4
RESAMPLES = 1000


def score_captions(
    references: Mapping[int, Sequence[str]],
    captions: Mapping[int, str],
    tokeniser: Tokeniser = DEFAULT_TOKENISER,
    *,
    with_spice: bool = False,
) -> tuple[dict[str, Metric], dict[int, float]]:
    """BLEU-1 to 4, ROUGE_L and CIDEr (with ptb METEOR, too), and each image's CIDEr.

    CIDEr is on pycocoevalcap's scale of 10; its word weights come from these references alone, so
    scores of different selections of images don't compare. Its standard error holds the weights
    fixed.
    """
    # Here, not above: pycocoevalcap takes long to import, and MMBench doesn't need it.
    from pycocoevalcap.bleu.bleu_scorer import BleuScorer
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    truth = {index: list(references[index]) for index in captions}
    if tokeniser == "ptb":
        truth, captions = _tokenised(truth, captions)
    answers = {index: [caption] for index, caption in captions.items()}
    count = len(captions)
    bleu_scorer = BleuScorer(n=BLEU_ORDER)
    for index, caption in captions.items():
        bleu_scorer += (caption, truth[index])
    with contextlib.redirect_stdout(io.StringIO()):  # it prints as it goes
        bleu, _ = bleu_scorer.compute_score(option="closest")
        rouge, each_rouge = Rouge().compute_score(truth, answers)
        cider, each_cider = Cider().compute_score(truth, answers)
    metrics = {
        f"BLEU-{n}": Metric(float(value), error, count)
        for n, (value, error) in enumerate(
            zip(bleu, _bleu_errors(bleu_scorer.ctest), strict=True), start=1
        )
    }
    metrics["ROUGE_L"] = Metric(float(rouge), standard_error(each_rouge.tolist()), count)
    metrics["CIDEr"] = Metric(float(cider), standard_error(each_cider.tolist()), count)
    if tokeniser == "ptb":
        metrics["METEOR"] = Metric(meteor(truth, captions), None, count)
    if with_spice:
        metrics["SPICE"] = spice(truth, captions)
    return metrics, dict(zip(captions, each_cider.tolist(), strict=True))


def _tokenised(
    references: Mapping[int, Sequence[str]], captions: Mapping[int, str]
) -> tuple[dict[int, list[str]], dict[int, str]]:
    """Both tokenised, each by a start of Java, as pycocoevalcap does: the last text of each is
    split otherwise."""
    tokens = iter(ptb_tokenise([text for index in captions for text in references[index]]))
    truth = {index: [next(tokens) for _ in references[index]] for index in captions}
    answers = ptb_tokenise(list(captions.values()))
    return truth, dict(zip(captions, answers, strict=True))


def _bleu_errors(counts: Sequence[Mapping[str, Any]]) -> list[float]:
    """Standard errors of BLEU-1 to 4, by resampling the images (Koehn 2004, section 3).

    Args:
        counts: for each image what pycocoevalcap counted: `correct` and `guess` for each order,
            `testlen` and the lengths of all references, `reflen`.
    """
    rows = np.array(
        [
            (*c["correct"], *c["guess"], c["testlen"], _closest(c["testlen"], c["reflen"]))
            for c in counts
        ],
        dtype=np.float64,
    )
    generator = np.random.default_rng(0)  # fixed: the same answers have the same error
    sums = np.empty((RESAMPLES, rows.shape[1]))
    for i in range(RESAMPLES):
        drawn = np.bincount(generator.integers(len(rows), size=len(rows)), minlength=len(rows))
        sums[i] = drawn @ rows
    correct, guess = sums[:, :BLEU_ORDER], sums[:, BLEU_ORDER : 2 * BLEU_ORDER]
    # The two small numbers are pycocoevalcap's, against division by 0.
    precision = np.cumprod((correct + 1e-15) / (guess + 1e-9), axis=1)
    scores = precision ** (1 / np.arange(1, BLEU_ORDER + 1))
    ratio = (sums[:, -2] + 1e-15) / (sums[:, -1] + 1e-9)
    brevity = np.exp(np.minimum(0, 1 - 1 / ratio))
    return [float(error) for error in (scores * brevity[:, None]).std(axis=0, ddof=1)]


def _closest(length: int, reference_lengths: Sequence[int]) -> int:
    return min((abs(other - length), other) for other in reference_lengths)[1]
