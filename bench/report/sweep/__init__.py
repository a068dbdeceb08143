"""Accuracy against latency over a grid of reductions."""
