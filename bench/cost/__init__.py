"""What must a stage cost? Counted, not timed: the same on every machine, without weights."""

from bench.cost.count import Cost, counting
from bench.cost.stages import ARMS, BATCHES, cost_of

__all__ = ["ARMS", "BATCHES", "Cost", "cost_of", "counting"]
