"""Reference runs: what a model answered once, kept small, so that a new run is paired with it.

A reference is two files: `NAME.csv` (`index,letter,hit`: the row, the option letter that the
matcher read or nothing, and whether it was right; no question text) and `NAME.json` (the recipe).
Those that ship with the package were made from recorded VLMEvalKit runs by `python -m
bench.references.record`; a user's own stand in `$VLM_HYBRID_REFERENCES`, or `./references`.
"""

from bench.references.store import (
    Reference,
    add_reference,
    load_reference,
    print_references,
    read_reference,
    reference_folder,
    reference_names,
)

__all__ = [
    "Reference",
    "add_reference",
    "load_reference",
    "print_references",
    "read_reference",
    "reference_folder",
    "reference_names",
]
