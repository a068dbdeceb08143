"""Words that a model's tokenizer does not have: all of them reach the model as one token that means
nothing, and an answer to that is a guess.

Tokenizers that write any word in smaller pieces have no such token, and none of this is theirs.
"""

from collections.abc import Iterable, Mapping
from typing import Any

LISTED = 5  # of many words


def unknown_words(tokenizer: Any, text: str) -> list[str]:
    """Those of `text` that the tokenizer does not have, each once."""
    unknown = tokenizer.unk_token_id
    if unknown is None:
        return []
    ids = tokenizer(text, return_offsets_mapping=tokenizer.is_fast)
    if unknown not in ids["input_ids"]:
        return []
    if tokenizer.is_fast:
        ends = zip(ids["input_ids"], ids["offset_mapping"], strict=True)
        return list(dict.fromkeys(text[start:end] for id, (start, end) in ends if id == unknown))
    parts = dict.fromkeys(text.split())
    return [part for part in parts if unknown in tokenizer(part)["input_ids"]]


def unknown_in(tokenizer: Any, prompts: Iterable[str]) -> dict[str, Any] | None:
    """How many of the prompts hold such words, and which; None if there can be none."""
    if tokenizer.unk_token_id is None:
        return None
    found = [words for prompt in prompts if (words := unknown_words(tokenizer, prompt))]
    return {"prompts": len(found), "words": sorted({word for words in found for word in words})}


def said(record: Any, of: int, data: str) -> str:
    """For whoever reads the end of a run of `of` prompts whose run.json holds this record of
    `unknown_in`; empty if there is nothing to say."""
    if not isinstance(record, Mapping):
        return ""
    prompts, words = record.get("prompts"), record.get("words")
    if not isinstance(prompts, int) or prompts < 1 or not isinstance(words, list):
        return ""
    more = f" and {len(words) - LISTED} more" if len(words) > LISTED else ""
    return (
        f"{prompts} of {of} prompts of {data} hold words that the model does not have, so that its"
        f" answers to them are guesses: {', '.join(map(str, words[:LISTED]))}{more}"
    )
