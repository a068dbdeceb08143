"""COCO captions, scored as VLMEvalKit does: pycocoevalcap on raw strings.

Raw means neither tokenised nor lower-cased, so "mat." and "mat" differ; these numbers don't
compare with the literature's, which are tokenised first.
"""

import ast
import contextlib
import io
import json
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

from bench.tasks.atomic import write_atomically
from bench.tasks.images import image_loader
from bench.tasks.prompts import CAPTION_PROMPTS, IMAGE, get_prompt, vlmevalkit_frame
from bench.tasks.table import Table, shown
from bench.tasks.task import (
    NOT_RECORDED,
    Metric,
    Sample,
    Score,
    check_predictions,
    prompt_sha256,
    standard_error,
)
from bench.tasks.xlsx import write_xlsx

BLEU_ORDER = 4


class CocoCaptions:
    """A `Task` over a table `index answer [question] [image]`.

    `answer` is a Python literal, the list of reference captions. A `question` column, where there
    is one, is what the model is asked; otherwise the text that `prompt` names.

    Raises:
        UserError: a column or cell is missing, an answer is no list of captions, or there is only
            one image (CIDEr weighs words by how rare they are among the images, so with one
            image every weight, and the score, is 0 whatever the caption).
    """

    kind: Literal["coco"] = "coco"

    def __init__(
        self,
        name: str,
        table: Table,
        *,
        prompt: str | None = "vlmevalkit",
    ) -> None:
        self.name = name
        table.require("answer")
        self._references = {index: parse_references(table, index) for index in table.rows}
        if len(table.rows) < 2:
            raise table.error(
                "holds one image; CIDEr needs at least two, and hundreds to mean much"
            )
        question = None if prompt is None else get_prompt(CAPTION_PROMPTS, prompt)
        if question is not None and "question" not in table.columns:
            rows = {index: {**row, "question": question} for index, row in table.rows.items()}
            table = Table(table.source, (*table.columns, "question"), rows)
        self._table = table
        self.recipe = {"prompt": _prompt_name(table), "tokeniser": "raw"}

    @property
    def indices(self) -> Collection[int]:
        return self._table.rows.keys()

    @cached_property
    def samples(self) -> Sequence[Sample]:
        self._table.require("image", "question")
        samples = []
        for index in self._table.rows:
            text = vlmevalkit_frame(self._table.cell(index, "question"))
            if text.count(IMAGE) != 1:
                raise self._table.error(
                    f"its question contains {IMAGE}, which stands for the one image", index
                )
            samples.append(Sample(index, text, image_loader(self._table, index)))
        return samples

    @cached_property
    def data_hash(self) -> str:
        return self._table.sha256()

    @cached_property
    def prompt_hash(self) -> str:
        return prompt_sha256(self.samples)

    def group_key(self, index: int) -> int:
        return index

    def score(self, predictions: Mapping[int, str]) -> Score:
        check_predictions(self._table.source, self._table.rows, predictions)
        captions = {index: predictions[index] for index in self._table.rows}
        metrics, cider = score_captions(self._references, captions)
        return Score(
            task=self.name,
            kind=self.kind,
            headline="CIDEr",
            metrics=metrics,
            categories={},
            values=cider,
            samples=len(captions),
            unreadable=sum(not caption.strip() for caption in captions.values()),
            recipe=self.recipe,
        )

    def write_official(
        self, folder: Path, stem: str, predictions: Mapping[int, str], score: Score
    ) -> Sequence[Path]:
        """VLMEvalKit's `{stem}.xlsx` and, times 100, `{stem}_score.json`."""
        sheet, scores = folder / f"{stem}.xlsx", folder / f"{stem}_score.json"
        check_predictions(self._table.source, self._table.rows, predictions)
        write_xlsx(sheet, self._table.without("image"), predictions)
        times_100 = {name: metric.value * 100 for name, metric in score.metrics.items()}
        layout = {
            "Bleu": [times_100[f"BLEU-{n}"] for n in range(1, BLEU_ORDER + 1)],
            "ROUGE_L": times_100["ROUGE_L"],
            "CIDEr": times_100["CIDEr"],
        }
        write_atomically(scores, json.dumps(layout, indent=4).encode())
        return sheet, scores


def score_captions(
    references: Mapping[int, Sequence[str]], captions: Mapping[int, str]
) -> tuple[dict[str, Metric], dict[int, float]]:
    """BLEU-1 to 4, ROUGE_L and CIDEr of raw strings, and each image's CIDEr.

    CIDEr is on pycocoevalcap's scale of 10; its word weights come from these references alone, so
    scores of different selections of images don't compare. Its standard error holds the weights
    fixed.
    """
    # Here, not above: pycocoevalcap takes long to import, and MMBench doesn't need it.
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    truth = {index: list(references[index]) for index in captions}
    answers = {index: [caption] for index, caption in captions.items()}
    with contextlib.redirect_stdout(io.StringIO()):  # it prints as it goes
        bleu, _ = Bleu(BLEU_ORDER).compute_score(truth, answers, verbose=0)
        rouge, each_rouge = Rouge().compute_score(truth, answers)
        cider, each_cider = Cider().compute_score(truth, answers)
    count = len(captions)
    metrics = {f"BLEU-{n}": Metric(float(b), None, count) for n, b in enumerate(bleu, start=1)}
    metrics["ROUGE_L"] = Metric(float(rouge), standard_error(each_rouge.tolist()), count)
    metrics["CIDEr"] = Metric(float(cider), standard_error(each_cider.tolist()), count)
    return metrics, dict(zip(captions, each_cider.tolist(), strict=True))


def parse_references(table: Table, index: int) -> list[str]:
    """The captions in row `index`'s answer; never evaluates code, as VLMEvalKit's reader would."""
    text = table.cell(index, "answer")
    try:
        captions = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        captions = None
    sound = isinstance(captions, list) and all(isinstance(item, str) for item in captions)
    if not (sound and captions):
        raise table.error(f"answer {shown(text)} is not a Python list of captions", index)
    return list(captions)


def _prompt_name(table: Table) -> str:
    """The name of the one question that all rows ask, or its text if it has no name."""
    questions = {row.get("question") for row in table.rows.values()}
    if len(questions) > 1:
        return "one for each row"
    (question,) = questions
    names = {text: name for name, text in CAPTION_PROMPTS.items()}
    return NOT_RECORDED if question is None else names.get(question, question)
