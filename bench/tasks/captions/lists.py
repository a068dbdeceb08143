"""The captions that people wrote of an image: a list in one cell, as Python or JSON write it."""

import ast
import json
import re
import warnings

from bench.tasks.tables.table import Table, shown

_TEXT = r"""[uU]?(?:'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")"""
# Texts with commas between them and nothing else: where one is missing Python joins two captions.
_LIST = re.compile(rf"\s*\[\s*{_TEXT}(?:\s*,\s*{_TEXT})*\s*(?:,\s*)?\]\s*", re.DOTALL)
_WITHOUT_COMMAS = re.compile(
    rf"\s*\[\s*{_TEXT}(?:\s*(?:,\s*)?{_TEXT})+\s*(?:,\s*)?\]\s*", re.DOTALL
)
LONGEST_LABEL = 4  # of an option, as "A", "(B)" or "10"
HOW = "write ['one caption', 'another'], as Python or JSON do"


def parse_references(table: Table, index: int) -> list[str]:
    """The captions in row `index`'s answer; never evaluates code, as VLMEvalKit's reader would.

    Raises:
        UserError: the cell is no list of texts, or all of them are blank.
    """
    text = table.cell(index, "answer")
    if _LIST.fullmatch(text):
        try:
            captions = _decoded(text.strip())
        except (ValueError, SyntaxError):
            raise table.error(
                f"answer {shown(text)} has an escape (\\x, \\u) that stands for no character;"
                f" {HOW}",
                index,
            ) from None
        if any(caption.strip() for caption in captions):
            return captions
        raise table.error(f"answer {shown(text)} holds only blank captions; {HOW}", index)
    if _WITHOUT_COMMAS.fullmatch(text):
        problem = "has captions without a comma between them, as NumPy prints arrays"
    elif len(text.strip()) <= LONGEST_LABEL:
        problem = "is no list of captions; for multiple choice give each option a column A, B, C"
    else:
        problem = "is not a list of captions"
    raise table.error(f"answer {shown(text)} {problem}; {HOW}", index)


def _decoded(text: str) -> list[str]:
    """The texts of a sound list, as JSON if it is JSON, else as Python reads it.

    Raises:
        ValueError, SyntaxError: an escape is cut short, or is half of a surrogate pair.
    """
    try:
        captions = json.loads(text)
    except ValueError:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes that Python leaves as they are
            captions = ast.literal_eval(text)
    # Python takes a pair for two characters; both halves together are one, and one alone is none.
    return [caption.encode("utf-16", "surrogatepass").decode("utf-16") for caption in captions]
