"""Published methods by their names, where the `hybrid` that runs has any.

`latency --against` times an earlier revision's `hybrid` with this harness, and one from before
there were methods has none to name.
"""

from collections.abc import Callable, Mapping

from hybrid import Keep

try:
    from hybrid.methods import METHODS as FOUND
except ModuleNotFoundError:
    FOUND = {}

METHODS: Mapping[str, Callable[[Keep], object]] = FOUND
