"""The exact texts that harnesses put before a model, by the model's chat and the harness's name.

A space more or less changes answers, so each text is pinned by a test.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from bench.base.errors import UserError
from bench.tasks.tables.table import shown

IMAGE = "<image>"
QWEN_IMAGE = "<|image_pad|>"
DEFAULT_PROMPT = "vlmevalkit"  # there is one of this name for each kind of task
DIRECTLY = "Answer with the option's letter from the given choices directly."
FROM_THE_OPTIONS = "Please select the correct answer from the options above."
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


def llava_next_frame(text: str) -> str:
    """What VLMEvalKit (at 23757c4) wraps around a LLaVA-NeXT message with Vicuna: the checkpoint's
    chat template, without a system's turn, and with a space behind the message."""
    return f"USER: {IMAGE}\n{text} ASSISTANT:"


def qwen_frame(text: str) -> str:
    """What VLMEvalKit (at 23757c4) wraps around a Qwen2.5-VL message: the checkpoint's chat
    template, which puts its own system's turn in front."""
    system = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    return system + qwen3_frame(text)


def qwen3_frame(text: str) -> str:
    """What VLMEvalKit (at 23757c4) wraps around a Qwen3-VL message: the checkpoint's chat template,
    in which a system's turn is only what is given as one."""
    return (
        f"<|im_start|>user\n<|vision_start|>{QWEN_IMAGE}<|vision_end|>{text}<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def vlmevalkit_multiple_choice(question: str, hint: str | None, options: Mapping[str, str]) -> str:
    """VLMEvalKit's LLaVA prompt for MMBench; Chinese anywhere in it switches the instruction."""
    return vlmevalkit_frame(_directly(question, hint, options))


def llava_next_multiple_choice(question: str, hint: str | None, options: Mapping[str, str]) -> str:
    """VLMEvalKit's (at 23757c4) for LLaVA-NeXT: LLaVA's text."""
    return llava_next_frame(_directly(question, hint, options))


def qwen_multiple_choice(question: str, hint: str | None, options: Mapping[str, str]) -> str:
    """VLMEvalKit's (at 23757c4) for Qwen2.5-VL: the data set's own text, space and line end behind
    it, since `config.py` there sets use_custom_prompt=False for these models."""
    return qwen_frame(_of_the_data(question, hint, options))


def qwen3_multiple_choice(question: str, hint: str | None, options: Mapping[str, str]) -> str:
    """The same for Qwen3-VL."""
    return qwen3_frame(_of_the_data(question, hint, options))


def llava_multiple_choice(question: str, hint: str | None, options: Mapping[str, str]) -> str:
    """The prompt of LLaVA's own MMBench script, behind its published scores."""
    return llava_frame(f"{_listed(question, hint, options)}\n{DIRECTLY}")


def lmms_multiple_choice(question: str, hint: str | None, options: Mapping[str, str]) -> str:
    """lmms-eval's: the hint stands on the question's line, an empty line before the instruction."""
    asked = question if hint is None else f"{hint} {question}"
    listed = "".join(f"\n{letter}. {text}" for letter, text in options.items())
    return llava_frame(f"{asked} There are several options:{listed}\n\n{DIRECTLY}")


def _directly(question: str, hint: str | None, options: Mapping[str, str]) -> str:
    listed = _listed(question, hint, options)
    return f"{listed}\n{'请直接回答选项字母。' if _CHINESE.search(listed) else DIRECTLY}"


def _of_the_data(question: str, hint: str | None, options: Mapping[str, str]) -> str:
    told = "" if hint is None else f"Hint: {hint}\n"
    listed = "".join(f"{letter}. {text}\n" for letter, text in options.items())
    return f"{told}Question: {question}\nOptions:\n{listed}{FROM_THE_OPTIONS} \n"


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


@dataclass(frozen=True)
class Chat:
    """How a kind of model is asked.

    Attributes:
        image: what stands for the image in a prompt.
        frame: around any message, as VLMEvalKit has it.
        multiple_choice: by the harness's name.
        captions: what each of CAPTION_PROMPTS is wrapped in.
    """

    image: str
    frame: Frame
    multiple_choice: Mapping[str, MultipleChoicePrompt]
    captions: Mapping[str, Frame]


DEFAULT_CHAT = "llava-1.5"
CHATS: Mapping[str, Chat] = {
    DEFAULT_CHAT: Chat(IMAGE, vlmevalkit_frame, MULTIPLE_CHOICE_PROMPTS, CAPTION_FRAMES),
    "llava-next-vicuna": Chat(
        IMAGE,
        llava_next_frame,
        {DEFAULT_PROMPT: llava_next_multiple_choice},
        dict.fromkeys(CAPTION_PROMPTS, llava_next_frame),
    ),
    "qwen2.5-vl": Chat(
        QWEN_IMAGE,
        qwen_frame,
        {DEFAULT_PROMPT: qwen_multiple_choice},
        dict.fromkeys(CAPTION_PROMPTS, qwen_frame),
    ),
    "qwen3-vl": Chat(
        QWEN_IMAGE,
        qwen3_frame,
        {DEFAULT_PROMPT: qwen3_multiple_choice},
        dict.fromkeys(CAPTION_PROMPTS, qwen3_frame),
    ),
}


def chat_of(name: str) -> Chat:
    """Raises `UserError` for a name that is not in CHATS."""
    if name not in CHATS:
        raise UserError(f"unknown chat {shown(name)}; choose one of {', '.join(CHATS)}")
    return CHATS[name]


def recorded_as(prompt: str, chat: str) -> str:
    """What a score's recipe calls a prompt; LLaVA-1.5's are called as they always were."""
    return prompt if chat == DEFAULT_CHAT else f"{prompt}, {chat}"


def recorded_prompt(recipe: str) -> tuple[str, str] | None:
    """The prompt and the chat that `recorded_as` made `recipe` of; None if it is of none."""
    prompt, _, chat = recipe.partition(", ")
    chat = chat or DEFAULT_CHAT
    known = {*MULTIPLE_CHOICE_PROMPTS, *CAPTION_PROMPTS}
    return (prompt, chat) if prompt in known and chat in CHATS else None


def get_prompt(prompts: Mapping[str, Prompt], name: str) -> Prompt:
    """Raises `UserError` for a name that is not in `prompts`."""
    if name not in prompts:
        raise UserError(f"unknown prompt {shown(name)}; choose one of {', '.join(prompts)}")
    return prompts[name]
