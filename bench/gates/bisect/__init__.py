"""Finds the commit that turned a gate red."""

from bench.gates.bisect.search import GATES, Found, bisect

__all__ = ["GATES", "Found", "bisect"]
