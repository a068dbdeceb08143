"""Arms that ship, published methods among them where the `hybrid` that runs has any.

`latency --against` times an earlier revision's `hybrid` with this harness, and one from before
there were methods has none to name.
"""

from collections.abc import Callable, Mapping

from hybrid import ConfigError, HybridConfig, Keep

try:
    from hybrid.methods import METHODS as FOUND
    from hybrid.methods import stages_of as found_stages
    from hybrid.methods.fastv import FastV as found_fastv
except ModuleNotFoundError:
    FOUND, found_stages, found_fastv = {}, None, None  # type: ignore[assignment,misc]

METHODS: Mapping[str, Callable[[Keep], object]] = FOUND
# What can be made of a budget alone; FastV is an arm with a layer of the profile's, too.
MADE_OF_A_BUDGET = {**METHODS, **({} if found_fastv is None else {"fastv": found_fastv})}
ARMS = ("dense", "off", "dymu", "fastv", "hybrid", "random", "lowest", "compact", *METHODS)


def demand_stages(config: HybridConfig) -> None:
    """Raises ConfigError for a method that is no stage, or that this `hybrid` does not know."""
    if found_stages is None:
        raise ConfigError("this revision of hybrid knows no methods")
    found_stages(config)
