"""A reference beside a run that asked less of it: the reference is cut to the run's samples.

Runs are never cut to each other: of two that asked different things, one is unfinished or mistaken.
A reference is a run of everything, kept so that any part of it can be paired.
"""

from collections.abc import Iterable, Sized
from dataclasses import replace

from bench.base.errors import UserError
from bench.evaluation.comparison.side import Side
from bench.evaluation.references.captions import truth_digest
from bench.evaluation.references.letters import question_hits
from bench.tasks.captions.scores import score_captions
from bench.tasks.captions.tokenise import check_tokeniser


def on_equal_samples(before: Side, after: Side) -> tuple[Side, Side, list[str]]:
    """Both sides, a reference among them cut to what the other was asked; and remarks on that.

    Raises:
        UserError: the reference lacks a sample of the run, or was made from other data; or both are
            references of captions, which keep nothing to score them by.
    """
    if before.kind == after.kind == "coco" and before.is_reference and after.is_reference:
        raise UserError(
            f"{before.source} and {after.source} both keep captions without what people wrote, so"
            " nothing can score them: give one of the runs"
        )
    if before.kind != after.kind or before.is_reference == after.is_reference:
        return before, after, []
    if before.is_reference:
        before, remarks = cut(before, after)
    else:
        after, remarks = cut(after, before)
    return before, after, remarks


def cut(reference: Side, run: Side) -> tuple[Side, list[str]]:
    """The reference on the samples of `run`, and remarks.

    Raises:
        UserError: it lacks a sample of the run, or was made from other data.
    """
    if run.kind == "coco":
        return _captions(reference, run), _said(reference, run.truth, reference.answers, "images")
    return _letters(reference, run), _said(reference, run.row_hits, reference.row_hits, "rows")


def _letters(reference: Side, run: Side) -> Side:
    rows = run.row_hits
    _demand_known(reference, rows, reference.row_hits, "row")
    for index, item in run.questions.items():
        # It keeps no right answers, but whether each letter was one.
        if (reference.letters[index] == item.answer) != reference.row_hits[index]:
            raise _other_data(reference, run, f"the right answer of row {index}")
    if len(rows) == len(reference.row_hits):
        return reference  # `demand_comparable` goes on with the digest of all right answers
    hits = {index: reference.row_hits[index] for index in rows}
    return replace(
        reference,
        score=lambda: {question: float(hit) for question, hit in question_hits(hits).items()},
        letters={index: reference.letters[index] for index in rows},
        row_hits=hits,
        answers_sha256=run.answers_sha256,
    )


def _captions(reference: Side, run: Side) -> Side:
    """With the run's own captions by people, and its tokeniser: a reference keeps neither."""
    _demand_known(reference, run.truth, reference.answers, "image")
    for index, captions in run.truth.items():
        if reference.truth_digests[index] != truth_digest(captions):
            raise _other_data(reference, run, f"the captions of image {index}")
    answers = {index: reference.answers[index] for index in run.truth}
    tokeniser = check_tokeniser(run.recipe["tokeniser"])
    return replace(
        reference,
        answers=answers,
        truth=run.truth,
        recipe={**reference.recipe, "tokeniser": tokeniser},
        score=lambda: score_captions(run.truth, answers, tokeniser, with_spice=False)[1],
    )


def _demand_known(reference: Side, asked: Iterable[int], known: Iterable[int], sample: str) -> None:
    if missing := sorted(set(asked) - set(known)):
        raise UserError(
            f"{reference.source} lacks {sample} {missing[0]}: it can only be paired with a run of"
            " its own samples"
        )


def _other_data(reference: Side, run: Side, what: str) -> UserError:
    return UserError(
        f"{reference.source} and {run.source} can't be compared, they differ in {what}: the"
        " reference was made from other data"
    )


def _said(reference: Side, asked: Sized, known: Sized, samples: str) -> list[str]:
    if len(asked) == len(known):
        return []
    return [
        f"{reference.source} holds {len(known)} {samples}, of which the run's {len(asked)} count"
    ]
