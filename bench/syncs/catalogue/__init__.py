"""Planted waits and clean idioms, one a function: what the detector is tested on, and a primer.

In `reads`, `shapes` and `copies` the line that waits ends in `# waits`; nothing in `clean` waits.
"""

from bench.syncs.catalogue import clean, copies, reads, shapes
from bench.syncs.catalogue.planted import Example, Inputs

WAITS: tuple[Example, ...] = tuple(
    example for module in (reads, shapes, copies) for example in module.EXAMPLES
)
CLEAN: tuple[Example, ...] = tuple(clean.EXAMPLES)

__all__ = ["CLEAN", "WAITS", "Example", "Inputs"]
