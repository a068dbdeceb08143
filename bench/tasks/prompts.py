"""The exact texts that harnesses put before LLaVA-1.5, by the harness's name.

A space more or less changes answers, so each text is pinned by a test.
"""

import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from bench.base.errors import UserError
from bench.tasks.tables.table import shown

IMAGE = "<image>"
DEFAULT_PROMPT = "vlmevalkit"  # there is one of this name for each kind of task
DIRECTLY = "Answer with the option's letter from the given choices directly."
_CHINESE = re.compile("[\u4e00-\u9fff]")

Prompt = TypeVar("Prompt")
Frame = Callable[[str], str]
MultipleChoicePrompt = Callable[[str, str | None, Mapping[str, str]], str]


def vlmevalkit_frame(text: str) -> str:
    """What VLMEvalKit wraps around any LLaVA-1.5 message: note the two spaces before `<image>`,
    none of LLaVA's own newlines after it, and the space after `ASSISTANT:`."""
    return (
        "A chat between a curious human and an artificial intelligence assistant."
        " The assistant gives helpful, detailed, and polite answers to the human's questions."
        f" USER:  {IMAGE} {text} ASSISTANT: "
    )


def llava_frame(text: str) -> str:
    """LLaVA-1.5's own conversation (`vicuna_v1`), in which it was trained; lmms-eval's too."""
    return (
        "A chat between a curious user and an artificial intelligence assistant."
        " The assistant gives helpful, detailed, and polite answers to the user's questions."
        f" USER: {IMAGE}\n{text} ASSISTANT:"
    )


def vlmevalkit_multiple_choice(question: str, hint: str | None, options: Mapping[str, str]) -> str:
    """VLMEvalKit's LLaVA prompt for MMBench; Chinese anywhere in it switches the instruction."""
    listed = _listed(question, hint, options)
    instruction = "请直接回答选项字母。" if _CHINESE.search(listed) else DIRECTLY
    return vlmevalkit_frame(f"{listed}\n{instruction}")


def llava_multiple_choice(question: str, hint: str | None, options: Mapping[str, str]) -> str:
    """The prompt of LLaVA's own MMBench script, behind its published scores."""
    return llava_frame(f"{_listed(question, hint, options)}\n{DIRECTLY}")


def lmms_multiple_choice(question: str, hint: str | None, options: Mapping[str, str]) -> str:
    """lmms-eval's: the hint stands on the question's line, an empty line before the instruction."""
    asked = question if hint is None else f"{hint} {question}"
    listed = "".join(f"\n{letter}. {text}" for letter, text in options.items())
    return llava_frame(f"{asked} There are several options:{listed}\n\n{DIRECTLY}")


def _listed(question: str, hint: str | None, options: Mapping[str, str]) -> str:
    """Hint, question and options, each on a line of its own."""
    asked = question if hint is None else f"{hint}\n{question}"
    return asked + "".join(f"\n{letter}. {text}" for letter, text in options.items())


MULTIPLE_CHOICE_PROMPTS: Mapping[str, MultipleChoicePrompt] = {
    "vlmevalkit": vlmevalkit_multiple_choice,
    "llava": llava_multiple_choice,
    "lmms-eval": lmms_multiple_choice,
}

# The question put where a captions file has no question column of its own.
CAPTION_PROMPTS: Mapping[str, str] = {
    "vlmevalkit": (
        "Please describe this image in general. Directly provide the description, do not include"
        ' prefix like "This image depicts". '
    ),
    "one-sentence": "Provide a one-sentence caption for the provided image.",
    "recorded-hybrid": (
        "Write a short COCO-style caption in ONE sentence (max 15 words). No extra details."
    ),
}

# What each of those questions is wrapped in; a file's own question is asked as VLMEvalKit would.
CAPTION_FRAMES: Mapping[str, Frame] = {
    "vlmevalkit": vlmevalkit_frame,
    "one-sentence": llava_frame,
    "recorded-hybrid": vlmevalkit_frame,
}


def get_prompt(prompts: Mapping[str, Prompt], name: str) -> Prompt:
    """Raises `UserError` for a name that is not in `prompts`."""
    if name not in prompts:
        raise UserError(f"unknown prompt {shown(name)}; choose one of {', '.join(prompts)}")
    return prompts[name]
