"""Arms that ship, published methods among them where the `hybrid` that runs has any.

`latency --against` times an earlier revision's `hybrid` with this harness, and one from before
there were methods has none to name.
"""

from collections.abc import Callable, Mapping

from hybrid import ConfigError, HybridConfig, Keep

try:
    from hybrid.methods import METHODS as FOUND
    from hybrid.methods import stages_of as found_stages
except ModuleNotFoundError:
    FOUND, found_stages = {}, None  # type: ignore[assignment]

METHODS: Mapping[str, Callable[[Keep], object]] = FOUND
ARMS = ("dense", "off", "dymu", "fastv", "hybrid", "random", "lowest", "compact", *METHODS)


def demand_stages(config: HybridConfig) -> None:
    """Raises ConfigError for a method that is no stage, or that this `hybrid` does not know."""
    if found_stages is None:
        raise ConfigError("this revision of hybrid knows no methods")
    found_stages(config)
