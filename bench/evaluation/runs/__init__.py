"""Runs of a model on data: inference that survives a kill, what it leaves, and reading it again."""
