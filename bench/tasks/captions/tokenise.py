"""Captions as the literature scores them: Penn Treebank tokens, lower-case, punctuation dropped.

The same Java program, options and dropped words as pycocoevalcap's PTBTokenizer, but fed through a
pipe: the package's own wrapper writes a file beside its jar, which fails where that is read-only.
"""

import re
from collections.abc import Sequence
from typing import Literal, get_args

from bench.base.errors import UserError
from bench.tasks.captions.java import LOCALE, beside_module, require_java, run_java
from bench.tasks.tables.table import shown

Tokeniser = Literal["raw", "ptb"]
TOKENISERS: tuple[Tokeniser, ...] = get_args(Tokeniser)
DEFAULT_TOKENISER: Tokeniser = "raw"

# The tokenizer lower-cases everything, so of these the four brackets never match: -lrb- stays, in
# every published number.
DROPPED = frozenset(
    [
        *("''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"),
        *("-LRB-", "-RRB-", "-LCB-", "-RCB-"),
    ]
)
# Whatever Java takes for the end of a line would shift all captions that follow.
LINE_BREAKS = re.compile("[\n\r\x0b\x0c\u2028\u2029]")


def check_tokeniser(name: str) -> Tokeniser:
    """`name`, if it can be used here.

    Raises:
        UserError: no such tokeniser, or it needs Java and there is none.
    """
    for known in TOKENISERS:
        if name == known:
            if known == "ptb":
                require_java("the ptb tokeniser")
            return known
    raise UserError(f"unknown tokeniser {shown(name)}; choose one of {', '.join(TOKENISERS)}")


def ptb_tokenise(captions: Sequence[str]) -> list[str]:
    """Each caption's tokens, joined by single spaces.

    The last line has no end, as in pycocoevalcap's file: Java then splits an emoticon that ends
    it, which it keeps whole in all other lines.

    Raises:
        UserError: Java is missing or fails.
    """
    java = require_java("the ptb tokeniser")
    jar = beside_module("pycocoevalcap.tokenizer.ptbtokenizer", "stanford-corenlp-3.4.1.jar")
    lines = [LINE_BREAKS.sub(" ", caption) for caption in captions]
    done = run_java(
        [
            *(java, *LOCALE, "-cp", str(jar), "edu.stanford.nlp.process.PTBTokenizer"),
            *("-preserveLines", "-lowerCase", "-encoding", "UTF-8"),
        ],
        purpose="the ptb tokeniser",
        timeout_s=60 + len(captions) / 100,
        stdin="\n".join(lines).encode(errors="replace"),
    )
    tokens = done.stdout.decode(errors="replace").split("\n")
    if len(tokens) != len(captions):
        raise UserError(
            f"the ptb tokeniser gave {len(tokens)} lines for {len(captions)} captions; a caption"
            " holds a control character that it takes for the end of a line"
        )
    return [" ".join(w for w in line.rstrip().split(" ") if w not in DROPPED) for line in tokens]
