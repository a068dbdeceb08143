"""Texts of others in a CSV file: a spreadsheet takes what begins like a formula for one."""

# What a formula begins with, or is skipped before it.
OPENERS = frozenset("=+-@\t\r")


def guarded(cell: object) -> object:
    """A text that begins so gets an apostrophe in front; numbers and other texts stay."""
    if isinstance(cell, str) and (cell[:1] in OPENERS or _has_apostrophe(cell)):
        return f"'{cell}"
    return cell


def unguarded(cell: str) -> str:
    """What `guarded` was given."""
    return cell[1:] if _has_apostrophe(cell) else cell


def _has_apostrophe(cell: str) -> bool:
    return cell[:1] == "'" and (cell[1:2] in OPENERS or cell[1:2] == "'")
