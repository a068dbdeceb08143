"""One image, one question: the answer, and what became of the image's tokens on the way to it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from bench.arms.image_sizes import said
from bench.arms.models import Answerer, Checkpoint, arm_config, load_checkpoint, padded_to_square
from bench.arms.profiles import Profile
from bench.arms.vocabulary import unknown_words
from bench.base.errors import UserError
from bench.base.reading import read_bytes
from bench.base.remark import remark
from bench.evaluation.runs.recording import RecordingAnswerer
from bench.report.pictures import Shown
from bench.tasks import load_task
from bench.tasks.prompts import CAPTION_PROMPTS, CHATS, DEFAULT_PROMPT, Chat
from bench.tasks.tables.images import ImageError, read_image
from bench.timing.arms import answer_arm
from bench.timing.clock import clock_for
from bench.timing.interleave import measure
from hybrid import Keep
from hybrid.state import State

BLOCKS = 3  # timed A B B A: six calls an arm
DESCRIBE = CAPTION_PROMPTS["vlmevalkit"]
STAGES = ("prefill", "decode", "answer")


@dataclass(frozen=True)
class Demonstration:
    """What there is to show.

    Attributes:
        answers: arm -> what it answered.
        tokens: (stage, tokens of dense, tokens of the arm) for one image and its prompt.
        milliseconds: (stage, dense, arm), medians; `decode` is a token's.
        picture: the image with its kept patches bright, or None if the arm reduces nothing.
        caption: what the picture shows, in words.
    """

    answers: dict[str, str]
    tokens: list[tuple[str, int, int]]
    milliseconds: list[tuple[str, float, float]]
    picture: Image.Image | None
    caption: str


def demonstrate(
    profile: Profile, arm: str, keep: Keep, *, image: Path | None, question: str | None
) -> Demonstration:
    """Answer with dense and with `arm`, count tokens and take times.

    Args:
        image: a file; None takes the first of the profile's captioning data.
        question: None asks for a description. Options may follow it: `... A. red B. green`.

    Raises:
        UserError: no image in the file, words that the model's tokenizer does not know, or logits
            that are not finite.
    """
    checkpoint = load_checkpoint(profile)
    chat = CHATS[profile.model.chat]
    prompts = [asked(question, chat)]
    _check_words(checkpoint, prompts[0])
    shipped = profile.data.coco or profile.prompts
    images = [
        _open(image) if image else load_task(shipped, chat=profile.model.chat).samples[0].image()
    ]
    answerers = {
        name: RecordingAnswerer(checkpoint, arm_config(name, profile, keep), arm=name)
        for name in _arms(arm)
    }
    if image is not None:
        images = [fitted(images[0], answerers[arm], source=image)]
    encoded = answerers[arm].encode(prompts, images)
    limit = profile.data.max_new_tokens_coco
    answers = {
        name: answerer.answer_recorded(encoded, limit, ["the question"])[0][0]
        for name, answerer in answerers.items()
    }
    length = encoded["input_ids"].shape[1]
    model = answerers[arm].hybrid
    if model is None:
        raise UserError(f"{arm} reduces nothing that could be shown: choose another --model")
    inputs = model.place(**encoded)
    state = model.prefill(inputs, 1)
    (shown,) = Shown.seen(answerers[arm], encoded, images, inputs, state.trace)
    return Demonstration(
        answers=answers,
        tokens=_token_counts(state, length, patches=len(shown.whole.owner)),
        milliseconds=_times(profile, checkpoint, arm, keep, prompts, images, answers[arm]),
        picture=shown.picture() if arm != "off" else None,
        caption=shown.caption(),
    )


def asked(question: str | None, chat: Chat) -> str:
    """The whole prompt: a description if there is no question; options behind a question are asked
    as MMBench's are."""
    first, *rest = re.split(r"\s+([A-F])\. ", question or DESCRIBE)
    if not rest:
        return chat.frame(first)
    options = dict(zip(rest[::2], rest[1::2], strict=True))
    return chat.multiple_choice[DEFAULT_PROMPT](first, None, options)


def _arms(arm: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(("dense", arm)))


def _open(path: Path) -> Image.Image:
    try:
        return read_image(read_bytes(path, mend="give an image file"))
    except ImageError as error:
        raise UserError(f"{path} is no image that can be read ({error}): give another") from error


def fitted(image: Image.Image, answerer: Answerer, *, source: Path) -> Image.Image:
    """`image` as it is if the processor makes it fit; else as LLaVA does, and that is said: padded
    to a square with the processor's mean colour, and resized."""
    if answerer.sizes.fits(image.size):
        return image
    side = answerer.sizes.side
    square = padded_to_square(image, answerer.processor.image_processor.image_mean)
    padded = "" if square.size == image.size else "padded to a square and "
    remark(f"{source}: {said(image.size)} pixels, {padded}resized to {said((side, side))}")
    return square.resize((side, side), Image.Resampling.BICUBIC)


def _check_words(checkpoint: Checkpoint, question: str) -> None:
    """Raises UserError for words that the model does not have."""
    tokenizer: Any = checkpoint.processor.tokenizer
    strange = unknown_words(tokenizer, question)
    if not strange:
        return
    known = sorted(word for word in tokenizer.get_vocab() if word.isalpha() and len(word) > 1)
    raise UserError(
        f"this model has no word for {', '.join(strange)}; it was taught {', '.join(known)}"
    )


def _token_counts(state: State, length: int, *, patches: int) -> list[tuple[str, int, int]]:
    """Tokens that work is done on, per stage; `length` is the dense prompt's."""
    trace = state.trace
    counts = [("visual tokens out of the tower", patches, int(trace.visual.valid[0].sum()))]
    for span in state.spans:
        layers = f"language layers {span.layers[0]}-{span.layers[-1]}"
        counts.append((layers, length, int(span.valid[0].sum())))
    return counts


def _times(
    profile: Profile,
    checkpoint: Checkpoint,
    arm: str,
    keep: Keep,
    prompts: Sequence[str],
    images: Sequence[Image.Image],
    answer: str,
) -> list[tuple[str, float, float]]:
    """Medians in milliseconds, both arms at the number of tokens that `arm` answered with."""
    tokenizer = checkpoint.processor.tokenizer
    new_tokens = max(2, len(tokenizer(answer, add_special_tokens=False)["input_ids"]) + 1)
    checkpoint.llava.generation_config.eos_token_id = None  # the same number of steps for both
    arms = {
        name: answer_arm(
            name, Answerer(checkpoint, arm_config(name, profile, keep)), prompts, images, new_tokens
        )
        for name in _arms(arm)
    }
    clock = clock_for(torch.device(profile.model.device))
    samples = measure(arms, blocks=BLOCKS, clock=clock, threads=profile.model.threads)
    # Disturbed calls included: this is something to look at, not a verdict.
    medians = {
        (name, stage): 1e3
        * float(np.median([call[stage] for block in samples.blocks for call in block[name]]))
        for name in arms
        for stage in STAGES
    }
    return [(stage, medians["dense", stage], medians[arm, stage]) for stage in STAGES]
