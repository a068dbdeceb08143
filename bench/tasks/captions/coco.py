"""COCO captions, scored by pycocoevalcap: raw, as VLMEvalKit does, or as the literature does.

Raw means neither tokenised nor lower-cased, so "mat." and "mat" differ; the literature tokenises
first. The two don't compare: on COCO's own captions, tokenising alone moves CIDEr by 0.24.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from bench.base.atomic import write_atomically
from bench.base.errors import UserError
from bench.tasks.captions.lists import parse_references
from bench.tasks.captions.scores import BLEU_ORDER, score_captions
from bench.tasks.captions.spice import check_spice
from bench.tasks.captions.tokenise import DEFAULT_TOKENISER, check_tokeniser
from bench.tasks.prompts import (
    CAPTION_PROMPTS,
    DEFAULT_CHAT,
    DEFAULT_PROMPT,
    chat_of,
    get_prompt,
    recorded_as,
)
from bench.tasks.rows import Rows
from bench.tasks.tables.export import export
from bench.tasks.tables.table import Table, shown
from bench.tasks.task import (
    NOT_RECORDED,
    Score,
    check_predictions,
)


class CocoCaptions(Rows):
    """A `Task` over a table `index answer [question] [image]`.

    `answer` is the list of reference captions, as Python or JSON write it. A `question` column,
    where there is one, is what the model is asked; otherwise the text that `prompt` names. With
    `tokeniser` ptb METEOR is scored, too; `with_spice` adds SPICE. `chat` is a name in
    `CHATS`, of the model that is asked.

    Raises:
        UserError: a column or cell is missing, an answer is no list of captions, what the
            tokeniser or SPICE needs is not installed, or there is only one image (CIDEr weighs
            words by how rare they are among the images, so with one image every weight, and the
            score, is 0 whatever the caption).
    """

    kind: Literal["coco"] = "coco"

    def __init__(
        self,
        name: str,
        table: Table,
        *,
        prompt: str | None = DEFAULT_PROMPT,
        tokeniser: str = DEFAULT_TOKENISER,
        with_spice: bool = False,
        chat: str = DEFAULT_CHAT,
    ) -> None:
        self.name = name
        known = chat_of(chat)
        self._tokeniser = check_tokeniser(tokeniser)
        self._with_spice = with_spice
        if with_spice:
            if self._tokeniser != "ptb":
                raise UserError("SPICE reads tokenised captions; add --tokeniser ptb to --spice")
            check_spice()
        table.require("answer")
        self._references = {index: parse_references(table, index) for index in table.rows}
        if len(table.rows) < 2:
            raise table.error(
                "holds one image; CIDEr needs at least two, and hundreds to mean much"
            )
        question = None if prompt is None else get_prompt(CAPTION_PROMPTS, prompt)
        self._frame = known.frame if prompt is None else known.captions[prompt]
        if question is not None and prompt != DEFAULT_PROMPT:
            _demand_asked(table, question)
        if question is not None and "question" not in table.columns:
            rows = {index: {**row, "question": question} for index, row in table.rows.items()}
            table = Table(table.source, (*table.columns, "question"), rows)
        super().__init__(table, known.image)
        asked = _prompt_name(table)
        asked = asked if asked == NOT_RECORDED else recorded_as(asked, chat)
        self.recipe = {"prompt": asked, "tokeniser": self._tokeniser}

    def _prompts(self) -> Iterator[tuple[int, str]]:
        self._table.require("question")
        for index in self._table.rows:
            yield index, self._frame(self._table.cell(index, "question"))

    def group_key(self, index: int) -> int:
        return index

    def score(self, predictions: Mapping[int, str]) -> Score:
        check_predictions(self._table.source, self._table.rows, predictions)
        captions = {index: predictions[index] for index in self._table.rows}
        metrics, cider = score_captions(
            self._references, captions, self._tokeniser, with_spice=self._with_spice
        )
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
        """VLMEvalKit's `{stem}.xlsx` and, times 100, `{stem}_score.json`; that only of raw scores.

        A reader of its layout can't tell that a score was tokenised, and would compare it.
        """
        sheet, scores = folder / f"{stem}.xlsx", folder / f"{stem}_score.json"
        check_predictions(self._table.source, self._table.rows, predictions)
        written = export(sheet, self.table, predictions, asked=("answer", "question"))
        sheets = (sheet,) if written else ()
        if score.recipe["tokeniser"] != "raw":
            return sheets
        times_100 = {name: metric.value * 100 for name, metric in score.metrics.items()}
        layout = {
            "Bleu": [times_100[f"BLEU-{n}"] for n in range(1, BLEU_ORDER + 1)],
            "ROUGE_L": times_100["ROUGE_L"],
            "CIDEr": times_100["CIDEr"],
        }
        write_atomically(scores, json.dumps(layout, indent=4).encode())
        return *sheets, scores


def _demand_asked(table: Table, question: str) -> None:
    """A prompt that was asked for by name is not passed over because the file has its own."""
    for index, row in table.rows.items():
        if row.get("question", question) != question:
            raise table.error(
                f"asks {shown(row['question'])}, not the chosen prompt; remove the question column"
                f" or keep to the prompt {DEFAULT_PROMPT}, which asks what the file asks",
                index,
            )


def _prompt_name(table: Table) -> str:
    """The name of the one question that all rows ask, or its text if it has no name."""
    questions = {row.get("question") for row in table.rows.values()}
    if len(questions) > 1:
        return "one for each row"
    (question,) = questions
    names = {text: name for name, text in CAPTION_PROMPTS.items()}
    return NOT_RECORDED if question is None else names.get(question, question)
