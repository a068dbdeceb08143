"""LLaVA-1.5 with DyMU merging and FastV pruning at logical RoPE positions, without host waits."""

from hybrid.config import ConfigError, HybridConfig, Keep
from hybrid.model import HybridLlava, hybridize

__all__ = ["ConfigError", "HybridConfig", "HybridLlava", "Keep", "hybridize"]
