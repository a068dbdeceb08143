"""Text of others as one line that a terminal, a log or a table shows and doesn't obey."""

import unicodedata

# Control characters move the cursor or break the line, format characters turn text around.
OBEYED = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))


def printable(text: str) -> str:
    r"""`text` with such characters written out, an escape as \x1b, a line break as \n."""
    if text.isprintable():
        return text
    return "".join(
        c.encode("unicode_escape").decode() if unicodedata.category(c) in OBEYED else c
        for c in text
    )
