"""Runs of one machine over commits: kept in an append-only file, drawn with their steps."""
