"""From a free-text answer to an option letter, by the rules of published harnesses.

VLMEvalKit changed its rules twice, and the same answers score differently under each, so each
version has a name that goes into every score. None of them guesses and none asks a judge: an
answer that a matcher can't read is None, counted as unreadable and wrong. Environment variables
change nothing (VLMEvalKit's `VERBOSE` does).
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

from bench.base.errors import UserError
from bench.tasks.tables.table import shown

Matcher = Callable[[str, Mapping[str, str]], str | None]

REFUSED: Final = "Z"  # VLMEvalKit's letter for "answered, but with none of the options"

_API_FAILURE = "Failed to obtain answer via API"
_REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)
_PUNCTUATION = str.maketrans(dict.fromkeys(".()[],:;!*#{}", " "))
_STATED_ANSWER = re.compile(r"answer\s+is\s+\**([A-D])", re.IGNORECASE)
_FROM_THE_END = 4
_LMMS_WRAPPINGS = (
    *(("", end) for end in (".", ",", ":", ")", ").")),
    *(("(", end) for end in (")", ").")),
    *((":", end) for end in ("", ",", ".", ")", ").")),
)
_LMMS_LONGEST_WITH_A = 3
_LMMS_LETTERS = "ABCDE"  # E is what its judge says for "none of these"
_LMMS_OPTIONS = "ABCD"


def vlmevalkit_2025_04(answer: str, options: Mapping[str, str]) -> str | None:
    """VLMEvalKit from April to July 2025: exactly one letter anywhere, else one option's text."""
    if _API_FAILURE not in answer:
        if _is_refusal(answer):
            return REFUSED
        tokens, letters = _letters(answer, options)
        if len(letters) == 1:
            return letters[0]
        if not letters and REFUSED in tokens:
            return REFUSED
    return _only_option_text(answer, options)


def vlmevalkit_2026_06(answer: str, options: Mapping[str, str]) -> str | None:
    """VLMEvalKit since June 2026: the letter near the end, or "answer is X", else the text.

    Since August 2025 a letter counts only where its first occurrence is among the last four
    words, and the text rule only for answers at most twice as long as the options together.
    """
    if _API_FAILURE not in answer:
        if _is_refusal(answer):
            return REFUSED
        tokens, letters = _letters(answer, options)
        if len(letters) == 1 and tokens.index(letters[0]) >= len(tokens) - _FROM_THE_END:
            return letters[0]
        if not letters and REFUSED in tokens:
            return REFUSED
        stated = _STATED_ANSWER.search(answer)
        if stated and stated[1].upper() in options:
            return stated[1].upper()
    if len(answer.lower()) > 2 * sum(map(len, options.values())):
        return None
    return _only_option_text(answer, options)


def lmms_2024(answer: str, options: Mapping[str, str]) -> str | None:
    """lmms-eval's `mmbench_en_dev`, releases 0.2.0, 0.2.4, 0.5.0 and 0.7.3, before it asks GPT.

    A to E bare, then in twelve wrappings, then the text of the options A to D. A letter is never
    checked against the options, so an answer may be a letter that the question doesn't have; it
    is then read, and wrong.
    """
    if _API_FAILURE not in answer:
        tokens = answer.split()
        bare = [letter for letter in _LMMS_LETTERS if letter in tokens]
        article = "A" in tokens and len(tokens) > _LMMS_LONGEST_WITH_A
        if len(bare) == 1 and not article:
            return bare[0]
        for before, after in _LMMS_WRAPPINGS:
            wrapped = [letter for letter in _LMMS_LETTERS if f"{before}{letter}{after}" in tokens]
            if len(wrapped) == 1:
                return wrapped[0]
    asked = {letter: text for letter, text in options.items() if letter in _LMMS_OPTIONS}
    return _only_option_text(answer, asked)


def _is_refusal(answer: str) -> bool:
    return any(refusal in answer for refusal in _REFUSALS)


def _letters(answer: str, options: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """The answer's words without punctuation, and the option letters among them."""
    tokens = answer.translate(_PUNCTUATION).split()
    return tokens, [letter for letter in options if letter in tokens]


def _only_option_text(answer: str, options: Mapping[str, str]) -> str | None:
    """The option whose text occurs in the answer, if there is exactly one, ignoring case."""
    lowered = answer.lower()
    found = [letter for letter, text in options.items() if text.lower() in lowered]
    return found[0] if len(found) == 1 else None


MATCHERS: Mapping[str, Matcher] = {
    "vlmevalkit-2025-04": vlmevalkit_2025_04,
    "vlmevalkit-2026-06": vlmevalkit_2026_06,
    "lmms-2024": lmms_2024,
}
DEFAULT_MATCHER = "vlmevalkit-2025-04"


def get_matcher(name: str) -> Matcher:
    """Raises `UserError` for a name that is not in `MATCHERS`."""
    if name not in MATCHERS:
        raise UserError(f"unknown matcher {shown(name)}; choose one of {', '.join(MATCHERS)}")
    return MATCHERS[name]
