"""Reference runs: what a model answered once, kept small, so that a new run is paired with it.

A reference is two files: `NAME.csv`, a row a sample, and `NAME.json`, the recipe. Of multiple
choice the rows hold `index,letter,hit`: the option letter that the matcher read or nothing, and
whether it was right; of captions `index,truth,caption`: a digest of the captions that people wrote,
and the model's. Questions and people's captions are never kept. Those that ship with the package
were made from recorded VLMEvalKit runs by `python -m bench.evaluation.references.record`; a user's
own stand in `$VLM_HYBRID_REFERENCES`, or `./references`.
"""

from bench.evaluation.references.captions import CaptionReference
from bench.evaluation.references.files import reference_folder, reference_names
from bench.evaluation.references.letters import LetterReference
from bench.evaluation.references.store import (
    Reference,
    load_captions,
    load_letters,
    load_reference,
    print_references,
    read_reference,
)

__all__ = [
    "CaptionReference",
    "LetterReference",
    "Reference",
    "load_captions",
    "load_letters",
    "load_reference",
    "print_references",
    "read_reference",
    "reference_folder",
    "reference_names",
]
