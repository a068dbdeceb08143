"""The exact texts that harnesses put before LLaVA-1.5, by the harness's name.

A space more or less changes answers, so each text is pinned by a test.
"""

import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from bench.errors import UserError

IMAGE = "<image>"
_CHINESE = re.compile("[\u4e00-\u9fff]")

Prompt = TypeVar("Prompt")
MultipleChoicePrompt = Callable[[str, str | None, Mapping[str, str]], str]


def vlmevalkit_frame(text: str) -> str:
    """What VLMEvalKit wraps around any LLaVA-1.5 message: note the two spaces before `<image>`,
    none of LLaVA's own newlines after it, and the space after `ASSISTANT:`."""
    return (
        "A chat between a curious human and an artificial intelligence assistant."
        " The assistant gives helpful, detailed, and polite answers to the human's questions."
        f" USER:  {IMAGE} {text} ASSISTANT: "
    )


def vlmevalkit_multiple_choice(question: str, hint: str | None, options: Mapping[str, str]) -> str:
    """VLMEvalKit's LLaVA prompt for MMBench; Chinese anywhere in it switches the instruction."""
    asked = question if hint is None else f"{hint}\n{question}"
    listed = "".join(f"\n{letter}. {text}" for letter, text in options.items())
    instruction = (
        "请直接回答选项字母。"
        if _CHINESE.search(asked + listed)
        else "Answer with the option's letter from the given choices directly."
    )
    return vlmevalkit_frame(f"{asked}{listed}\n{instruction}")


MULTIPLE_CHOICE_PROMPTS: Mapping[str, MultipleChoicePrompt] = {
    "vlmevalkit": vlmevalkit_multiple_choice
}

# The question put where a captions file has no question column of its own.
CAPTION_PROMPTS: Mapping[str, str] = {
    "vlmevalkit": (
        "Please describe this image in general. Directly provide the description, do not include"
        ' prefix like "This image depicts". '
    )
}


def get_prompt(prompts: Mapping[str, Prompt], name: str) -> Prompt:
    """Raises `UserError` for a name that is not in `prompts`."""
    if name not in prompts:
        raise UserError(f"unknown prompt {name!r}; choose one of {', '.join(prompts)}")
    return prompts[name]
